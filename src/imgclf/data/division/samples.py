"""The usable images of a data set, and the files that cannot be used."""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgclf.data.pixels.decoder import REASONS
from imgclf.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgclf.data.reading.image_folder import ImageFile, Split
    from imgclf.data.store.pixel_store import PixelStore

__all__ = ["Quarantined", "Sample", "collect_samples", "left_out_lines"]

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
    store: PixelStore, files: Sequence[ImageFile], *, strict: bool = False
) -> tuple[list[Sample], list[Quarantined]]:
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
    samples, quarantined = [], []
    root = str(store.folder.root)
    for row, (file, result) in enumerate(zip(files, store.scanned, strict=True)):
        if result.accepted:
            group = f" {file.group}" if file.group else ""
            samples.append(
                Sample(row, file.path, file.label, result.sha256, file.split, group, root)
            )
        else:
            path = store.folder.absolute(file)
            quarantined.append(Quarantined(path, result.reason, result.message))
    if quarantined and strict:
        raise DataError(f"{quarantined[0].message} (strict: no file may be left out)")
    if not samples:
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
