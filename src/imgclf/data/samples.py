"""The usable images of a folder, and which split each one belongs to."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgclf.data.splitting import assign_splits
from imgclf.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from imgclf.data.folder import FoundFile, Split
    from imgclf.data.store import Store

__all__ = ["Quarantined", "Sample", "collect_samples", "divide_samples", "drop_leaks"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """One usable image of a data set.

    Attributes:
        row: Its index in the store.
        path: Its absolute path.
        label: Index of its class.
        sha256: Hash of its file's content.
        split: The split whose folder it lies in; None where the folder has no split folders.
    """

    row: int
    path: str
    label: int
    sha256: str
    split: Split | None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One file that looks like an image but cannot be used.

    Attributes:
        path: Its absolute path.
        reason: A code of `imgclf.data.decoding.REASONS`.
        message: One line that says what is wrong and what to do.
    """

    path: str
    reason: str
    message: str


def collect_samples(
    store: Store, files: Sequence[FoundFile], *, strict: bool = False
) -> tuple[list[Sample], list[Quarantined]]:
    """Part the files of a scanned folder into usable images and others.

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
    for row, (file, result) in enumerate(zip(files, store.scanned, strict=True)):
        path = store.folder.absolute(file)
        if result.accepted:
            samples.append(Sample(row, path, file.label, result.sha256, file.split))
        else:
            quarantined.append(Quarantined(path, result.reason, result.message))
    if quarantined and strict:
        raise DataError(f"{quarantined[0].message} (strict: no file may be left out)")
    if not samples:
        raise DataError(f"{store.folder.root} has no usable image. {quarantined[0].message}")
    for item in quarantined:
        _logger.warning("Left out: %s", item.message)
    return samples, quarantined


def divide_samples(
    samples: Sequence[Sample],
    class_names: Sequence[str],
    shares: Mapping[Split, float],
    seed: int,
) -> dict[Split, list[Sample]]:
    """Give each image to a split: the one of its folder, or one that is cut off by content.

    Args:
        samples: All images of one folder.
        class_names: Names of its classes.
        shares: Shares to cut off the images that no split folder holds, or off ``train/``; splits
            that have a folder of their own are not cut.
        seed: Other seeds cut other images.

    Returns:
        The images of each split, in the order of `samples`.
    """
    provided = {sample.split for sample in samples}
    missing: dict[Split, float] = {
        split: share for split, share in shares.items() if split not in provided and share > 0
    }
    divided: dict[Split, list[Sample]] = {"train": [], "val": [], "test": []}
    pool = [sample for sample in samples if sample.split in (None, "train")]
    if missing:
        splits = assign_splits(
            [sample.sha256 for sample in pool],
            [sample.label for sample in pool],
            class_names,
            fractions=missing,
            seed=seed,
        )
    else:
        splits = ["train"] * len(pool)
    for sample, split in zip(pool, splits, strict=True):
        divided[split].append(sample)
    for sample in samples:
        if sample.split in ("val", "test"):
            divided[sample.split].append(sample)
    return divided


def drop_leaks(held_out: Sequence[Sample], known: Collection[str]) -> tuple[list[Sample], int]:
    """Leave out held-out images whose very content the network is trained on (D9).

    Args:
        held_out: Images of a validation or test split.
        known: The sha256 of all training images.

    Returns:
        The images that are new to the network, and the number of the others.
    """
    fresh = [sample for sample in held_out if sample.sha256 not in known]
    return fresh, len(held_out) - len(fresh)
