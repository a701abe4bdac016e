"""What a name that comes out of a stranger's file may consist of."""

from __future__ import annotations

import re

__all__ = ["is_plain_text"]

_NOT_TEXT = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls: line breaks, tabulators, what begins a terminal's sequences
    "\u2028\u2029"  # line and paragraph separators
    "\u202a-\u202e\u2066-\u2069"  # turn the direction of whatever stands behind them
    "\ud800-\udfff"  # surrogates: half a character
    "]"
)


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
    return _NOT_TEXT.search(text) is None
