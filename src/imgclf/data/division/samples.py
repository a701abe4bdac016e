"""The usable images of a folder, and which split each one belongs to."""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from imgclf.data.division.duplicates import SAME_PICTURE, Groups, group_copies
from imgclf.data.division.splits import assign_splits
from imgclf.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from imgclf.data.division.recorded_split import RecordedSplit
    from imgclf.data.reading.layout import FoundFile, Split
    from imgclf.data.store.pixel_store import Store

__all__ = [
    "Quarantined",
    "Sample",
    "collect_samples",
    "compile_group_by",
    "divide_samples",
    "drop_leaks",
    "group_samples",
]

_logger = logging.getLogger(__name__)

MOST_LOGGED = 20
"""Unusable files that are named in the log; the others are counted."""


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


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One file that looks like an image but cannot be used.

    Attributes:
        path: Its absolute path.
        reason: A code of `imgclf.data.pixels.decoder.REASONS`.
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
    root = str(store.folder.root)
    for row, (file, result) in enumerate(zip(files, store.scanned, strict=True)):
        if result.accepted:
            named = f" {file.group}" if file.group else ""
            found = Sample(row, file.path, file.label, result.sha256, file.split, named, root)
            samples.append(found)
        else:
            path = store.folder.absolute(file)
            quarantined.append(Quarantined(path, result.reason, result.message))
    if quarantined and strict:
        raise DataError(f"{quarantined[0].message} (strict: no file may be left out)")
    if not samples:
        raise DataError(f"{store.folder.root} has no usable image. {quarantined[0].message}")
    for item in quarantined[:MOST_LOGGED]:
        _logger.warning("Left out: %s", item.message)
    if len(quarantined) > MOST_LOGGED:
        _logger.warning("Left out: %d more files.", len(quarantined) - MOST_LOGGED)
    return samples, quarantined


def divide_samples(
    samples: Sequence[Sample],
    class_names: Sequence[str],
    shares: Mapping[Split, float],
    seed: int,
    recorded: RecordedSplit | None = None,
) -> dict[Split, list[Sample]]:
    """Give each image to a split: the one of its folder, or one that is cut off by content.

    Args:
        samples: All images of one folder.
        class_names: Names of its classes.
        shares: Shares to cut off the images that no split folder holds, or off ``train/``; splits
            that have a folder of their own are not cut.
        seed: Other seeds cut other images.
        recorded: An earlier division. Its images keep their sides, new ones join their group's; a
            new one whose group is on two sides is in no split.

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
        for sample, split in _cut(pool, class_names, missing, seed, recorded):
            divided[split].append(sample)
    else:
        divided["train"] += pool
    for sample in samples:
        if sample.split in ("val", "test"):
            divided[sample.split].append(sample)
    return divided


def _cut(
    pool: Sequence[Sample],
    class_names: Sequence[str],
    missing: dict[Split, float],
    seed: int,
    recorded: RecordedSplit | None,
) -> Iterator[tuple[Sample, Split]]:
    """Divide images by content, each group on one side."""
    known = {sample.row: side for sample in pool if recorded and (side := recorded.side_of(sample))}
    sides_of: dict[str, set[Split]] = defaultdict(set)
    for sample in pool:
        if sample.row in known:
            sides_of[_key(sample)].add(known[sample.row])
    torn = {key for key, sides in sides_of.items() if len(sides) > 1}
    placed = [sample for sample in pool if sample.row in known or _key(sample) not in torn]
    splits = assign_splits(
        [_key(sample) for sample in placed],
        [sample.label for sample in placed],
        class_names,
        fractions=missing,
        seed=seed,
        settled={key: next(iter(sides)) for key, sides in sides_of.items()},
    )
    for sample, split in zip(placed, splits, strict=True):
        yield sample, known.get(sample.row, split)


def _key(sample: Sample) -> str:
    return sample.group or sample.sha256


def group_samples(
    samples: Sequence[Sample],
    signatures: NDArray[np.uint8] | None = None,
    group_by: str | None = None,
) -> list[Sample]:
    """Find out which images must stay on one side of a split (D9).

    Images belong together when their files are the same, when they look the same, or when their
    paths say that they show the same patient, video or product; also by way of a third image.

    Args:
        samples: Images of one folder.
        signatures: uint8 ``(num_files, SIGNATURE_BYTES)``, by `Sample.row`; None does not look.
        group_by: A regular expression that is searched in each path. What its first group matches,
            or all of it, names a group; images without a match have none.

    Returns:
        The samples, with their `group`.

    Raises:
        ArgumentError: `group_by` is no regular expression or matches nothing.
    """
    groups = Groups(len(samples))
    groups.join(_links([sample.sha256 for sample in samples]))
    names = _group_names(samples, group_by) if group_by else [None] * len(samples)
    groups.join(_links(names))
    groups.join(_links([sample.group or None for sample in samples]))
    if signatures is not None:
        rows = np.array([sample.row for sample in samples], np.int64)
        copies = group_copies(signatures[rows])
        groups.join(np.stack([copies, np.arange(len(samples))], axis=1))
    roots = groups.roots(np.arange(len(samples))).tolist()
    called: dict[int, str] = {}
    for root, sample, name in zip(roots, samples, names, strict=True):
        # A name outlives new files; the smallest hash does so more often than not.
        own = f" {name}" if name is not None else sample.group or sample.sha256
        called[root] = min(called.get(root, own), own)
    # Most images are alone: no group, and no new sample, for these.
    return [
        sample if called[root] == _key(sample) else replace(sample, group=called[root])
        for root, sample in zip(roots, samples, strict=True)
    ]


def _links(names: Sequence[str | None]) -> NDArray[np.int64]:
    """Pair each image with the first one of the same name."""
    first: dict[str, int] = {}
    named = np.fromiter((name is not None for name in names), np.bool_, len(names))
    firsts = (first.setdefault(name, index) for index, name in enumerate(names) if name is not None)
    counted = np.fromiter(firsts, np.int64, int(named.sum()))
    return np.stack([counted, np.flatnonzero(named)], axis=1)


def compile_group_by(group_by: str) -> re.Pattern[str]:
    """Read a regular expression; `ArgumentError` where it is none."""
    try:
        return re.compile(group_by)
    except re.error as error:
        raise ArgumentError(
            f"group_by={group_by!r} is no regular expression ({error}): give one such as "
            r"'patient(\d+)'."
        ) from error


def _group_names(samples: Sequence[Sample], group_by: str) -> list[str | None]:
    pattern = compile_group_by(group_by)
    matches = [pattern.search(sample.path) for sample in samples]
    if not any(matches):
        raise ArgumentError(
            f"group_by={group_by!r} matches no path, such as {samples[0].path!r}: "
            "check the expression."
        )
    return [match and match[1 if pattern.groups else 0] for match in matches]


def drop_leaks(
    held_out: Sequence[Sample],
    known: Sequence[Sample],
    held_out_signatures: NDArray[np.uint8] | None = None,
    known_signatures: NDArray[np.uint8] | None = None,
) -> tuple[list[Sample], int]:
    """Leave out held-out images that the network has been shown in training (D9).

    Args:
        held_out: Images of a validation or test split.
        known: The images that the network has seen.
        held_out_signatures: uint8 ``(num_files, SIGNATURE_BYTES)`` by row of `held_out`; without
            signatures only files that are the same count.
        known_signatures: The same for `known`.

    Returns:
        The images that are new to the network, and the number of the others.
    """
    seen = {sample.sha256 for sample in known}
    is_new = np.array([sample.sha256 not in seen for sample in held_out], np.bool_)
    if held_out_signatures is not None and known_signatures is not None:
        ours = held_out_signatures[[sample.row for sample in held_out]]
        theirs = known_signatures[[sample.row for sample in known]]
        both = np.concatenate([theirs, ours])
        groups = group_copies(both, SAME_PICTURE, first=len(known))
        is_new &= ~np.isin(groups[len(known) :], groups[: len(known)])
    fresh = [sample for sample, its_new in zip(held_out, is_new, strict=True) if its_new]
    return fresh, len(held_out) - len(fresh)
