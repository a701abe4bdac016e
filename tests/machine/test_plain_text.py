"""The promise of plain text: it shows itself and nothing else, in any script."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from imgclf.machine.plain_text import is_plain_text


def test_no_control_no_separator_and_no_half_of_a_character_is_text() -> None:
    """Every character of Unicode's categories Cc, Cs, Zl and Zp is refused."""
    for code in range(sys.maxunicode + 1):
        refused = unicodedata.category(chr(code)) in ("Cc", "Cs", "Zl", "Zp")
        if refused:
            assert not is_plain_text(f"a{chr(code)}b"), hex(code)


def test_letters_marks_and_spaces_are_text() -> None:
    """Every letter, mark, digit, sign and space of Unicode is accepted, joiners too."""
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] in "LMNPS" or unicodedata.category(chr(code)) == "Zs":
            assert is_plain_text(chr(code)), hex(code)
    assert is_plain_text("\u200c\u200d\ufe0f")


@pytest.mark.parametrize("code", [*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
def test_nothing_turns_what_stands_behind_it(code: int) -> None:
    """Marks that reorder the rest of a line are refused."""
    assert not is_plain_text(f"exe{chr(code)}gnp")
