"""What terminals and shells are given: texts that come out of files cannot steer them.

Names of files and classes, texts of a classifier's file, of a plugin's metadata or of another
machine's message may hold anything: escape sequences that clear the screen or change its title,
marks that turn the direction of writing around, what a shell takes for a command. Whatever is
printed goes through a `Terminal`; what is to be typed goes through `shell_word`.
"""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import rich.markup
from rich.console import Console
from rich.segment import Segment

from imgclf.machine.plain_text import is_plain_text, printable

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType
    from rich.text import Text

__all__ = ["IN_PLAIN_TEXT", "Terminal", "escape", "shell_word"]

IN_PLAIN_TEXT = "imgclf.in_plain_text"
"""How to encode what an encoding lacks: our drawings as plain characters, others as escapes."""

_PLAIN_DRAWINGS = dict(zip("▁▂▃▄▅▆▇█·…", "__--==##..", strict=True))

_NO_BYTE = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")


def _in_plain_text(error: UnicodeError) -> tuple[str | bytes, int]:
    """Handle one encoding error, as `codecs.register_error` wants it."""
    if isinstance(error, UnicodeEncodeError):
        plain = _PLAIN_DRAWINGS.get(error.object[error.start])
        if plain is not None:
            return plain, error.start + 1
    return codecs.backslashreplace_errors(error)


codecs.register_error(IN_PLAIN_TEXT, _in_plain_text)


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
    if is_plain_text(text):
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
        shown = printable(text).encode(self.encoding, IN_PLAIN_TEXT).decode(self.encoding)
        return super().render_str(shown, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Draw anything; texts that were made elsewhere are made printable here."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\r":
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)
