"""The batches of a plan: its folders read, scanned, divided and made into datasets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from imgclf.data.batches.augmentation import Augmentation
from imgclf.data.batches.batch_source import BatchSource
from imgclf.data.batches.dataset import Batches
from imgclf.data.division.groups import drop_leaks, group_samples
from imgclf.data.division.recorded_split import read_split
from imgclf.data.division.samples import (
    Quarantined,
    Sample,
    collect_samples,
    labels_of,
    left_out_lines,
    rows_of,
)
from imgclf.data.division.splits import divide_samples
from imgclf.data.reading.layout import match_classes, read_folder
from imgclf.data.store.pixel_store import PixelSource, open_store
from imgclf.errors import DataError
from imgclf.figures.intervals import MIN_MEASURED
from imgclf.machine.memory import trim_heap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from imgclf.clusters.connection import Cluster
    from imgclf.data.batches.plan import Plan
    from imgclf.data.reading.image_folder import Folders, ImageFolder, Split
    from imgclf.data.reading.left_out import LeftOut

__all__ = ["ImageData", "build_data"]

MOST_NAMED = 10
"""Classes that a message names; the others are counted."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageData:
    """The batches of a plan, and what was left out of them.

    Attributes:
        train: Training batches, shuffled and augmented.
        val: Validation batches.
        test: Test batches; None where the folders provide none.
        quarantined: Files that look like images but cannot be used.
        left_out: Other files and folders that were not used, relative to their folder.
        num_leaked: Held-out images that were dropped because they are copies of training images.
        warnings: Further remarks, one line each.
    """

    train: Batches
    val: Batches
    test: Batches | None
    quarantined: tuple[Quarantined, ...]
    left_out: tuple[LeftOut, ...]
    num_leaked: int
    warnings: tuple[str, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was left out, and what else should be known: one line each."""
        leaked = (
            f"Left out {self.num_leaked} held-out image(s) that are also training images."
            if self.num_leaked
            else ""
        )
        others = [*self.warnings, leaked] if leaked else self.warnings
        return (*left_out_lines(self.quarantined), *others)


def build_data(
    plan: Plan,
    progress: Callable[[int, int], None] | None = None,
    *,
    folders: Folders | None = None,
    cluster: Cluster | None = None,
) -> ImageData:
    """Scan the folders of a plan, or find the pixels of an earlier scan, and make the batches.

    Args:
        plan: The images.
        progress: Called while scanning with the number of files done and in all.
        folders: The plan's folders where they were just read, from
            `imgclf.data.reading.layout.read_folders`; others are read.
        cluster: The cluster whose nodes decode the images; None decodes them on this machine.

    Returns:
        Training, validation and test batches, and what was left out of them.

    Raises:
        DataError: A folder cannot be used; the message says what to change.
        ClusterError: The cluster does not answer.

    Example:
        >>> data = build_data(plan)                                  # doctest: +SKIP
        >>> data.train.num_samples, len(data.quarantined)            # doctest: +SKIP
    """
    builder = _Builder(plan, progress, folders or {}, cluster)
    scanned, samples = builder.open("train", plan.train_dir)
    class_names = scanned.class_names
    shares = _shares(plan, scanned.splits)
    if any(shares.values()):
        signatures = scanned.signatures if plan.near_duplicates else None
        samples = group_samples(samples, signatures, plan.group_by)
        trim_heap()
    recorded = read_split(plan.split_file) if plan.split_file is not None else None
    divided = divide_samples(samples, class_names, shares, plan.seed, recorded)
    trim_heap()
    builder.warn_of_unplaced(samples, divided)
    _require_every_class(divided["train"], class_names, plan.train_dir)
    sources: dict[Split, _ScannedFolder] = {"train": scanned, "val": scanned, "test": scanned}
    own_folders: dict[Split, str | None] = {"val": plan.val_dir, "test": plan.test_dir}
    for split, directory in own_folders.items():
        if directory is not None:
            sources[split], divided[split] = builder.open(split, directory, class_names)
    num_leaked = 0
    for split, directory in own_folders.items():
        had_images = len(divided[split]) > 0
        # Images that were cut off the training folder are no copies already.
        given = directory is not None or split in scanned.splits
        if given and had_images:
            divided[split], dropped = _drop_leaks(plan, sources, divided, split)
            num_leaked += dropped
            if not len(divided[split]):
                raise DataError(
                    f"Every {split} image is also a training image: give other images for {split}."
                )
    builder.warn_of_few(divided["test"] or divided["val"], class_names)
    batches = {
        split: builder.batches(sources[split], divided[split], class_names, split)
        for split in divided
        if len(divided[split])
    }
    return ImageData(
        train=batches["train"],
        val=batches["val"],
        test=batches.get("test"),
        quarantined=tuple(builder.quarantined),
        left_out=tuple(builder.left_out),
        num_leaked=num_leaked,
        warnings=tuple(builder.warnings),
    )


@dataclass(frozen=True, slots=True)
class _ScannedFolder:
    """What is kept of a store once its samples are known; the rest is large in large folders."""

    class_names: tuple[str, ...]
    splits: frozenset[Split]
    pixels: PixelSource
    signatures: NDArray[np.uint8]


@dataclass(slots=True)
class _Builder:
    """Opens the folders of one plan and collects the warnings on the way."""

    plan: Plan
    progress: Callable[[int, int], None] | None
    folders: Mapping[Split, ImageFolder]
    cluster: Cluster | None
    quarantined: list[Quarantined] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def open(
        self, split: Split, directory: str, class_names: Sequence[str] | None = None
    ) -> tuple[_ScannedFolder, Sequence[Sample]]:
        """Scan a folder; with `class_names`, its classes are matched to them by name."""
        fewest = 2 if class_names is None else 1
        folder = self.folders.get(split) or read_folder(directory, min_classes=fewest)
        trim_heap()  # Of what listing and scan took, little is kept.
        files = folder.files
        if class_names is not None:
            files, warning = match_classes(folder, class_names)
            self.warnings += [warning] if warning else []
        plan = self.plan
        store = open_store(
            folder, plan.policy, mode=plan.store, progress=self.progress, cluster=self.cluster
        )
        samples, quarantined = collect_samples(store, files, strict=plan.strict)
        trim_heap()
        self.quarantined += quarantined
        self.left_out += folder.left_out
        scanned = _ScannedFolder(folder.class_names, folder.splits, store.pixels, store.signatures)
        return scanned, samples

    def warn_of_unplaced(
        self, samples: Sequence[Sample], divided: Mapping[Split, Sequence[Sample]]
    ) -> None:
        """Warn of new images that have copies on two sides of a recorded split."""
        if sum(map(len, divided.values())) == len(samples):
            return
        placed = {sample.row for split in divided.values() for sample in split}
        unplaced = [sample.path for sample in samples if sample.row not in placed]
        if unplaced:
            self.warnings.append(
                f"Left out {len(unplaced)} new image(s) with copies in two splits of the split "
                f"file, such as {unplaced[0]!r}: keep the copies in one of them."
            )

    def warn_of_few(self, held_out: Sequence[Sample], class_names: Sequence[str]) -> None:
        """Warn of held-out images that are too few to measure with, and of the rarest class."""
        if 0 < len(held_out) < MIN_MEASURED:
            counts = np.bincount(labels_of(held_out), minlength=len(class_names))
            rarest = class_names[int(counts.argmin())]
            self.warnings.append(
                f"Only {len(held_out)} images to measure with, {counts.min()} of them of "
                f"{rarest!r}: too few to know the accuracy within 5 points. "
                f"{MIN_MEASURED} would do."
            )

    def batches(
        self,
        scanned: _ScannedFolder,
        samples: Sequence[Sample],
        class_names: Sequence[str],
        split: Split,
    ) -> Batches:
        """Make the batches of one split."""
        plan = self.plan
        mirrored = Augmentation(horizontal_flip=True)
        held_out = mirrored if plan.val_horizontal_flip and split == "val" else Augmentation()
        source = BatchSource(
            pixels=scanned.pixels,
            rows=rows_of(samples),
            labels=labels_of(samples),
            num_classes=len(class_names),
            batch_size=plan.batch_size,
            shuffled=split == "train",
            augmentation=plan.augmentation if split == "train" else held_out,
            data_format=plan.policy.data_format,
            seed=plan.seed,
            varied_once=split != "train",
            oversampled=plan.oversample and split == "train",
        )
        return Batches(source, class_names, samples, plan)


def _drop_leaks(
    plan: Plan,
    sources: Mapping[Split, _ScannedFolder],
    divided: Mapping[Split, Sequence[Sample]],
    split: Split,
) -> tuple[Sequence[Sample], int]:
    if not plan.near_duplicates:
        return drop_leaks(divided[split], divided["train"])
    return drop_leaks(
        divided[split], divided["train"], sources[split].signatures, sources["train"].signatures
    )


def _shares(plan: Plan, provided: frozenset[Split]) -> dict[Split, float]:
    """Return the shares to cut off the training folder: only what nothing else provides."""
    shares: dict[Split, float] = {}
    if plan.test_dir is None and plan.val_dir is None and not provided:
        shares["test"] = plan.test_split
    if plan.val_dir is None:
        shares["val"] = plan.val_split
    return shares


def _require_every_class(
    samples: Sequence[Sample], class_names: Sequence[str], directory: str
) -> None:
    present = set(np.unique(labels_of(samples)).tolist())
    missing = [name for label, name in enumerate(class_names) if label not in present]
    if missing:
        shown = ", ".join(map(repr, missing[:MOST_NAMED]))
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        raise DataError(
            f"{directory} has no usable training image of {shown}{more}: "
            "add some, or remove the class folder."
        )
