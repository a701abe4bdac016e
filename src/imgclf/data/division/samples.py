"""The usable images of a data set, and the files that cannot be used."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, overload

import numpy as np

from imgclf.data.pixels.decoder import REASONS
from imgclf.data.reading.image_folder import SPLITS
from imgclf.data.store.scan_results import HASH_BYTES
from imgclf.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.data.reading.image_folder import ImageFiles, Split
    from imgclf.data.store.pixel_store import PixelStore

__all__ = [
    "Quarantined",
    "Sample",
    "Samples",
    "collect_samples",
    "labels_of",
    "left_out_lines",
    "pick",
    "rows_of",
    "split_numbers_of",
    "with_groups",
]

_logger = logging.getLogger(__name__)

MOST_NAMED = 5
"""Unusable files that a message names one by one."""

MOST_LOGGED = 20
"""Unusable files that are named in the log; the others are counted."""

MOST_REASONS = 3
"""Reasons that an error counts; nobody reads more of them in one line."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One usable image of a data set.

    Attributes:
        row: Its index in the store.
        name: Its path, relative to `folder`.
        label: Index of its class.
        sha256: Hash of its file's content.
        split: The split whose folder it lies in; None where the folder has no split folders.
        group: Images of one group stay on one side of a split; empty for one that is alone.
        folder: The absolute path of its data set; many images share this one string.
    """

    row: int
    name: str
    label: int
    sha256: str
    split: Split | None
    group: str = ""
    folder: str = ""

    @property
    def path(self) -> str:
        """Its absolute path."""
        return os.path.join(self.folder, self.name)  # noqa: PTH118 - pathlib is slow for 100,000

    @property
    def key(self) -> str:
        """What decides its side of a split: its group, or its content where it is alone."""
        return self.group or self.sha256


class Samples(Sequence[Sample]):
    """Usable images in columns: each `Sample` is made when it is asked for.

    A part of them costs 4 bytes an image.

    Attributes:
        rows: int32 ``(num_samples,)``, their indices in the store.
        hashes: uint8 ``(num_files, 32)``, by row.
    """

    __slots__ = ("_files", "_folder", "_groups", "hashes", "rows")

    def __init__(
        self,
        files: ImageFiles,
        hashes: NDArray[np.uint8],
        rows: NDArray[np.int32],
        folder: str,
        groups: Mapping[int, str],
    ) -> None:
        self._files, self._folder, self._groups = files, folder, groups
        self.hashes, self.rows = hashes, rows

    @property
    def labels(self) -> NDArray[np.int64]:
        """``(num_samples,)`` class indices."""
        return np.frombuffer(self._files.labels, np.int32)[self.rows].astype(np.int64)

    @property
    def split_numbers(self) -> NDArray[np.int8]:
        """``(num_samples,)`` places of their splits in `SPLITS`."""
        return np.frombuffer(self._files.split_numbers, np.int8)[self.rows]

    @property
    def has_groups(self) -> bool:
        """Whether any of the files has a group."""
        return bool(self._groups)

    def take(self, places: NDArray[np.int64]) -> Samples:
        """Return a part of the images, by their places among these."""
        return Samples(self._files, self.hashes, self.rows[places], self._folder, self._groups)

    def with_groups(self, groups: Mapping[int, str]) -> Samples:
        """Return the same images with other groups, by place; those of the others stay."""
        by_row = {int(self.rows[place]): group for place, group in groups.items()}
        merged = {**self._groups, **by_row}
        return Samples(self._files, self.hashes, self.rows, self._folder, merged)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Samples: ...
    def __getitem__(self, index: int | slice) -> Sample | Samples:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        return self._sample(int(self.rows[index]))

    def __iter__(self) -> Iterator[Sample]:
        return map(self._sample, map(int, self.rows))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none

    def _sample(self, row: int) -> Sample:
        file = self._files[row]
        sha256 = self.hashes[row].tobytes().hex()
        group = self._groups.get(row, "")
        return Sample(row, file.path, file.label, sha256, file.split, group, self._folder)


def rows_of(samples: Sequence[Sample]) -> NDArray[np.int32]:
    """Return ``(num_samples,)`` indices in the store; no copy of a column."""
    if isinstance(samples, Samples):
        return samples.rows
    return np.array([sample.row for sample in samples], np.int32)


def labels_of(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Return ``(num_samples,)`` class indices."""
    if isinstance(samples, Samples):
        return samples.labels
    return np.array([sample.label for sample in samples], np.int64)


def split_numbers_of(samples: Sequence[Sample]) -> NDArray[np.int8]:
    """Return ``(num_samples,)`` places of their splits in `SPLITS`."""
    if isinstance(samples, Samples):
        return samples.split_numbers
    return np.array([SPLITS.index(sample.split) for sample in samples], np.int8)


def pick(samples: Sequence[Sample], places: NDArray[np.int64]) -> Sequence[Sample]:
    """Return the samples at some places."""
    if isinstance(samples, Samples):
        return samples.take(places)
    return [samples[place] for place in places]


def with_groups(samples: Sequence[Sample], groups: Mapping[int, str]) -> Sequence[Sample]:
    """Return the samples, those at some places with another group."""
    if isinstance(samples, Samples):
        return samples.with_groups(groups)
    return [
        replace(sample, group=groups[place]) if place in groups else sample
        for place, sample in enumerate(samples)
    ]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that looks like an image but cannot be used.

    Attributes:
        path: Its absolute path.
        reason: A code of `imgclf.data.pixels.decoder.REASONS`.
        message: One line that says what is wrong and what to do.
    """

    path: str
    reason: str
    message: str


def collect_samples(
    store: PixelStore, files: ImageFiles, *, strict: bool = False
) -> tuple[Samples, list[Quarantined]]:
    """Separate the usable images of a scanned folder from the other files.

    Args:
        store: The scanned folder.
        files: Its files, with the labels to use; ``store.folder.files`` or matched ones.
        strict: Raise at the first unusable file.

    Returns:
        The usable images and the others, both in the order of `files`.

    Raises:
        DataError: A file is unusable and `strict` is set, or none is usable.
    """
    scanned = store.scanned
    quarantined = [
        Quarantined(store.folder.absolute(files[row]), result.reason, result.message)
        for row, result in sorted(scanned.refused.items())
    ]
    samples = Samples(
        files,
        np.frombuffer(scanned.hashes, np.uint8).reshape(-1, HASH_BYTES),
        np.fromiter(scanned.accepted(), np.int32, len(files) - len(quarantined)),
        str(store.folder.root),
        {row: f" {group}" for row, group in files.groups.items()},
    )
    if quarantined and strict:
        raise DataError(f"{quarantined[0].message} (strict: no file may be left out)")
    if not len(samples):
        raise DataError(f"{store.folder.root} has no usable image: {_count_reasons(quarantined)}")
    for item in quarantined[:MOST_LOGGED]:
        _logger.info("Left out: %s", item.message)
    if len(quarantined) > MOST_LOGGED:
        _logger.info("Left out: %d more files.", len(quarantined) - MOST_LOGGED)
    return samples, quarantined


def left_out_lines(quarantined: Sequence[Quarantined]) -> list[str]:
    """Say which files could not be used; the first ones by name, the others by number.

    Args:
        quarantined: The files.

    Returns:
        A heading, a line a file, and how many more; nothing where all could be used.
    """
    if not quarantined:
        return []
    lines = [f"Left out {len(quarantined)} unusable file(s):"]
    lines += [f"  {item.reason}: {item.message}" for item in quarantined[:MOST_NAMED]]
    more = len(quarantined) - MOST_NAMED
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _count_reasons(quarantined: Sequence[Quarantined]) -> str:
    """Write how many files cannot be used for which reason, with an example of each."""
    counts = Counter(item.reason for item in quarantined)
    examples = {item.reason: item.path for item in reversed(quarantined)}
    return " ".join(
        f"{count} of {len(quarantined)} files, such as {examples[reason]!r}: {REASONS[reason]}"
        for reason, count in counts.most_common(MOST_REASONS)
    )
