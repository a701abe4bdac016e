"""Which texts show themselves and nothing else, and how any other is shown."""

from __future__ import annotations

import re

__all__ = ["is_plain_text", "printable"]

_STEERING = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, with which escape sequences begin
    r"\u2028-\u202e\u2066-\u2069"  # ends of lines, and what overrides the direction of writing
    r"\ud800-\udfff"  # surrogates: half a character, or bytes of file names that are no text
)
_IN_TEXT = re.compile(f"[{_STEERING}]")
_IN_A_NAME = re.compile(rf"[\t\n{_STEERING}]")


def is_plain_text(text: str) -> bool:
    r"""Tell whether a text is of one line, and shows itself and nothing else.

    Letters of all scripts, their joiners, emoji, and spaces of every width are text.

    Args:
        text: Any text.

    Returns:
        Whether it has no control characters, line breaks, direction marks or surrogates.

    Example:
        >>> is_plain_text("New York"), is_plain_text("two\nlines")
        (True, False)
    """
    return _IN_A_NAME.search(text) is None


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
