"""Class names that look alike, and are different all the same."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["alike_names", "exact_name", "look_of"]


def look_of(name: str) -> str:
    """Return what names that a person takes for the same one share.

    Upper and lower case, blanks around and between words, and the two ways in which Unicode writes
    an accent make no difference.
    """
    return " ".join(unicodedata.normalize("NFC", name.casefold()).split())


def alike_names(names: Iterable[str]) -> list[list[str]]:
    """Group the names that look alike; names that are alone in their look are left out."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[look_of(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def exact_name(name: str) -> str:
    r"""Write a name so that it differs from all that look like it: in quotes, accents as escapes.

    Example:
        >>> exact_name("cafe\u0301")
        "'cafe\\\\u0301'"
    """
    composed = unicodedata.normalize("NFC", name)
    return repr(name) if composed == name else ascii(name)
