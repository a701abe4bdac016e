"""The results of a scan, in columns: 36 bytes a file, because there may be millions."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from imgclf.data.pixels.decoder import ImageFacts

__all__ = ["HASH_BYTES", "ScanResults", "ScannedFile"]

HASH_BYTES = 32

_UNSCANNED, _REFUSED = -1, -2


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """The result of scanning one file.

    Attributes:
        sha256: Hash of its content; empty where it could not be read.
        reason: Empty for an accepted image, otherwise a key of
            `imgclf.data.pixels.decoder.REASONS`.
        message: One line that says what is wrong.
        facts: Format, mode and size of an accepted image.
    """

    sha256: str
    reason: str = ""
    message: str = ""
    facts: ImageFacts | None = None

    @property
    def accepted(self) -> bool:
        """Whether it is a usable image."""
        return not self.reason


class ScanResults(Sequence[ScannedFile]):
    """``(num_files,)`` results; each `ScannedFile` is made when it is asked for.

    Attributes:
        hashes: `HASH_BYTES` a file: the SHA-256 of the accepted ones.
        refused: The results of the unusable files, by index.
    """

    __slots__ = ("_facts", "_known", "_numbers", "hashes", "refused")

    def __init__(self, num_files: int) -> None:
        self.hashes = bytearray(HASH_BYTES * num_files)
        self.refused: dict[int, ScannedFile] = {}
        self._facts = array("i", [_UNSCANNED]) * num_files
        self._known: list[ImageFacts] = []
        self._numbers: dict[ImageFacts, int] = {}

    def put(self, index: int, result: ScannedFile) -> None:
        """Keep the result of one file."""
        if result.facts is None or not result.accepted:
            self.refused[index] = result
            self._facts[index] = _REFUSED
            return
        first = index * HASH_BYTES
        self.hashes[first : first + HASH_BYTES] = bytes.fromhex(result.sha256)
        number = self._numbers.setdefault(result.facts, len(self._known))
        if number == len(self._known):
            self._known.append(result.facts)
        self._facts[index] = number

    def is_scanned(self, index: int) -> bool:
        """Tell whether a file has its result."""
        return self._facts[index] != _UNSCANNED

    def is_accepted(self, index: int) -> bool:
        """Tell whether a file is a usable image."""
        return self._facts[index] >= 0

    def unscanned(self) -> Iterator[int]:
        """Yield the indices of the files that have no result yet."""
        return (index for index, number in enumerate(self._facts) if number == _UNSCANNED)

    def accepted(self) -> Iterable[int]:
        """Return the indices of the usable images."""
        if not self.refused:
            return range(len(self))
        return (index for index, number in enumerate(self._facts) if number >= 0)

    def __len__(self) -> int:
        return len(self._facts)

    @overload
    def __getitem__(self, index: int) -> ScannedFile: ...
    @overload
    def __getitem__(self, index: slice) -> list[ScannedFile]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        number = self._facts[place]
        if number < 0:
            return self.refused[place]
        first = place * HASH_BYTES
        sha256 = self.hashes[first : first + HASH_BYTES].hex()
        return ScannedFile(sha256, facts=self._known[number])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScanResults) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it is filled
