"""Columns of texts: a million of them take their bytes, and no object each."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import overload

__all__ = ["TextColumn"]


class TextColumn(Sequence[str]):
    """Texts that are kept as bytes behind each other; each one is made when it is asked for.

    Any `str` comes back as it was given, file names that are no UTF-8 too. Texts are appended, and
    never changed.
    """

    __slots__ = ("_content", "_ends")

    def __init__(self) -> None:
        self._content = bytearray()
        self._ends = array("q", [0])

    def append(self, text: str) -> None:
        """Add a text at the end."""
        self._content += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._content))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        content = self._content[self._ends[place] : self._ends[place + 1]]
        return content.decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        start = 0
        for place in range(1, len(self._ends)):
            end = self._ends[place]
            yield self._content[start:end].decode("utf-8", "surrogatepass")
            start = end
