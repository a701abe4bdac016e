"""What terminals and shells are given: texts that come out of files cannot steer them.

Names of files and classes, texts of a classifier's file, of a plugin's metadata or of another
machine's message may hold anything: escape sequences that clear the screen or change its title,
marks that turn the direction of writing around, what a shell takes for a command. Whatever is
printed goes through a `Terminal`; what is to be typed goes through `shell_word`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import rich.markup
from rich.console import Console
from rich.segment import Segment

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType
    from rich.text import Text

__all__ = ["Terminal", "escape", "printable", "shell_word"]

_STEERING = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, with which escape sequences begin
    r"\u2028-\u202e\u2066-\u2069"  # ends of lines, and what overrides the direction of writing
    r"\ud800-\udfff"  # bytes of file names that are no text
)
_IN_TEXT = re.compile(f"[{_STEERING}]")
_IN_A_NAME = re.compile(rf"[\t\n{_STEERING}]")
_NO_BYTE = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")


def printable(text: str, *, is_name: bool = False) -> str:
    r"""Show what would steer a terminal instead of sending it there.

    Letters of all scripts, the joiners that Persian, Hindi and emoji need, and spaces stay.

    Args:
        text: Any text.
        is_name: Whether it is a part of a line, in which not even ends of lines and tabs belong.

    Returns:
        The text; control characters and their like are written as escapes, ``\x1b`` or ``\u202e``.

    Example:
        >>> printable("cat\x1b[2J")
        'cat\\x1b[2J'
    """
    return (_IN_A_NAME if is_name else _IN_TEXT).sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    if "\udc80" <= character <= "\udcff":  # The byte that it stands for.
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode()


def escape(text: str) -> str:
    """Write a name or message so that it can stand in a line of Rich's markup as it is.

    Args:
        text: Any text.

    Returns:
        Markup of one line that shows the text.
    """
    markup = rich.markup.escape(printable(text, is_name=True))
    ending = len(markup) - len(markup.rstrip("\\"))
    return markup + "\\" * (ending % 2)  # Or it would quote the tag that follows.


def shell_word(text: str) -> str:
    r"""Write a text as one word of a command that a person may paste into a shell.

    Args:
        text: Any text, such as a path.

    Returns:
        The word, quoted where it has to be. What cannot be printed is written as
        ``$'\x1b'``, which bash, zsh and ksh read.

    Example:
        >>> shell_word("my photos; rm x")
        "'my photos; rm x'"
    """
    if not _IN_A_NAME.search(text):
        return shlex.quote(text)
    content = _NO_BYTE.sub("?", text).encode("utf-8", "surrogateescape")
    shown = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"'\\" else f"\\x{byte:02x}"
        for byte in content
    )
    return f"$'{shown}'"


class Terminal(Console):
    """A Rich console to which texts out of files can be given: none of them steers the terminal.

    Args:
        stderr: Whether it draws on standard error.
        **options: Those of `rich.console.Console`.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        # A class called ":cat:" is no picture of a cat, and numbers in names are no numbers.
        super().__init__(stderr=stderr, **{"highlight": False, "emoji": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Make text of a string, of which the width is measured after it was made printable."""
        return super().render_str(printable(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Draw anything; texts that were made elsewhere are made printable here."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\r" or not _IN_TEXT.search(segment.text):
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)
