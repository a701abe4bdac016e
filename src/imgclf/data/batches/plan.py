"""All that decides a training's images, and how they are made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imgclf.data.batches.augmentation import Augmentation
from imgclf.data.batches.dataset import Batches
from imgclf.data.batches.source import BatchSource
from imgclf.data.checks.findings import MIN_MEASURED
from imgclf.data.division.recorded_split import read_split
from imgclf.data.division.samples import (
    Quarantined,
    Sample,
    collect_samples,
    compile_group_by,
    divide_samples,
    drop_leaks,
    group_samples,
)
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.image_folder import FoundFile, LeftOut, Split
from imgclf.data.reading.layout import match_classes, read_folder
from imgclf.data.store.pixel_store import PixelSource, StoreMode, open_store
from imgclf.errors import DataError

__all__ = ["ImageData", "Plan"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides a training's images: frozen, picklable, enough to build them again.

    Attributes:
        train_dir: Folder of class folders, or of ``train/`` and others; absolute.
        val_dir: Folder of the validation images; None takes them from `train_dir`.
        test_dir: Folder of the test images; None takes them from `train_dir` or has none.
        policy: What every image is turned into.
        batch_size: Images per batch.
        augmentation: How training images are varied.
        val_horizontal_flip: Whether validation images are mirrored at random, as in the recipe.
        val_split: Share of `train_dir` that is cut off for validation where it has no ``val/``.
        test_split: Share of `train_dir` that is cut off for the test where it has no splits at all.
        seed: Decides split, order and augmentation.
        store: Where decoded pixels are kept.
        strict: Whether one unusable file stops everything.
        group_by: A regular expression over paths; images with the same match stay on one side.
        near_duplicates: Whether images that look the same stay on one side too, not only files
            that are the same.
        split_file: The ``split.csv`` of an earlier run, whose images keep their sides.
        oversample: Whether images of rare classes come several times in a training epoch.
    """

    train_dir: str
    val_dir: str | None
    test_dir: str | None
    policy: InputPolicy
    batch_size: int
    augmentation: Augmentation
    val_horizontal_flip: bool = False
    val_split: float = 0.15
    test_split: float = 0.0
    seed: int = 0
    store: StoreMode = "auto"
    strict: bool = False
    group_by: str | None = None
    near_duplicates: bool = True
    split_file: str | None = None
    oversample: bool = False

    def __post_init__(self) -> None:
        """Refuse what would otherwise fail only after the scan."""
        if self.group_by is not None:
            compile_group_by(self.group_by)

    def build(self, progress: Progress | None = None) -> ImageData:
        """Scan the folders, or find the pixels of an earlier scan, and make the batches.

        Args:
            progress: Called while scanning with the number of files done and in all.

        Returns:
            Training, validation and test batches, and what was left out of them.

        Raises:
            DataError: A folder cannot be used; the message says what to change.
        """
        return _build(self, progress)


@dataclass(frozen=True, slots=True, eq=False)
class ImageData:
    """What a `Plan` was built into.

    Attributes:
        train: Training batches, shuffled and varied.
        val: Validation batches.
        test: Test batches; None where the folders provide none.
        quarantined: Files that look like images but cannot be used.
        left_out: What else was not used, relative to its folder.
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


@dataclass(frozen=True, slots=True)
class _Opened:
    """What is left of a store once its samples are known; the rest is large in large folders."""

    class_names: tuple[str, ...]
    splits: frozenset[Split]
    pixels: PixelSource
    signatures: NDArray[np.uint8]


@dataclass(slots=True)
class _Builder:
    """Opens the folders of one plan and keeps the remarks that they give rise to."""

    plan: Plan
    progress: Progress | None
    quarantined: list[Quarantined] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def open(
        self, directory: str, class_names: Sequence[str] | None = None
    ) -> tuple[_Opened, list[Sample]]:
        """Scan a folder; with `class_names`, its classes are matched to them by name."""
        folder = read_folder(directory, min_classes=2 if class_names is None else 1)
        files: Sequence[FoundFile] = folder.files
        if class_names is not None:
            files, warning = match_classes(folder, class_names)
            self.warnings += [warning] if warning else []
        store = open_store(folder, self.plan.policy, mode=self.plan.store, progress=self.progress)
        samples, quarantined = collect_samples(store, files, strict=self.plan.strict)
        self.quarantined += quarantined
        self.left_out += folder.left_out
        opened = _Opened(folder.class_names, folder.splits, store.pixels, store.signatures)
        return opened, samples

    def name_unplaced(
        self, samples: Sequence[Sample], divided: Mapping[Split, Sequence[Sample]]
    ) -> None:
        """Remark on new images that an earlier division has copies of on two sides."""
        placed = {sample.row for split in divided.values() for sample in split}
        unplaced = [sample.path for sample in samples if sample.row not in placed]
        if unplaced:
            self.warnings.append(
                f"Left out {len(unplaced)} new image(s) with copies on two sides of the recorded "
                f"division, such as {unplaced[0]!r}: delete the copies on one side."
            )

    def name_few(self, held_out: Sequence[Sample]) -> None:
        """Remark on held-out images that are too few to measure with."""
        if 0 < len(held_out) < MIN_MEASURED:
            self.warnings.append(
                f"Only {len(held_out)} images to measure with: the 95 % interval of the accuracy "
                f"will be wider than 10 points; {MIN_MEASURED} make it narrower."
            )

    def batches(
        self, store: _Opened, samples: Sequence[Sample], class_names: Sequence[str], split: Split
    ) -> Batches:
        """Make the batches of one split."""
        plan = self.plan
        mirrored = Augmentation(horizontal_flip=True)
        held_out = mirrored if plan.val_horizontal_flip and split == "val" else Augmentation()
        source = BatchSource(
            pixels=store.pixels,
            rows=np.array([sample.row for sample in samples], np.int64),
            labels=np.array([sample.label for sample in samples], np.int64),
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


def _build(plan: Plan, progress: Progress | None) -> ImageData:
    builder = _Builder(plan, progress)
    store, samples = builder.open(plan.train_dir)
    class_names = store.class_names
    shares = _shares(plan, store.splits)
    if any(shares.values()):
        looks = store.signatures if plan.near_duplicates else None
        samples = group_samples(samples, looks, plan.group_by)
    recorded = read_split(plan.split_file) if plan.split_file is not None else None
    divided = divide_samples(samples, class_names, shares, plan.seed, recorded)
    builder.name_unplaced(samples, divided)
    _require_every_class(divided["train"], class_names, plan.train_dir)
    stores: dict[Split, _Opened] = {"train": store, "val": store, "test": store}
    own_folders: dict[Split, str | None] = {"val": plan.val_dir, "test": plan.test_dir}
    for split, directory in own_folders.items():
        if directory is not None:
            stores[split], divided[split] = builder.open(directory, class_names)
    num_leaked = 0
    for split, directory in own_folders.items():
        had_images = bool(divided[split])
        # Images that were cut off the training folder are no copies already.
        given = directory is not None or split in store.splits
        if given and had_images:
            divided[split], dropped = _drop_leaks(plan, stores, divided, split)
            num_leaked += dropped
            if not divided[split]:
                raise DataError(
                    f"Every {split} image is also a training image: give other images for {split}."
                )
    builder.name_few(divided["test"] or divided["val"])
    made = {
        split: builder.batches(stores[split], divided[split], class_names, split)
        for split in divided
        if divided[split]
    }
    return ImageData(
        train=made["train"],
        val=made["val"],
        test=made.get("test"),
        quarantined=tuple(builder.quarantined),
        left_out=tuple(builder.left_out),
        num_leaked=num_leaked,
        warnings=tuple(builder.warnings),
    )


def _drop_leaks(
    plan: Plan, stores: Mapping[Split, _Opened], divided: Mapping[Split, list[Sample]], split: Split
) -> tuple[list[Sample], int]:
    if not plan.near_duplicates:
        return drop_leaks(divided[split], divided["train"])
    return drop_leaks(
        divided[split], divided["train"], stores[split].signatures, stores["train"].signatures
    )


def _shares(plan: Plan, provided: frozenset[Split]) -> dict[Split, float]:
    """Choose what has to be cut off the training folder: only what nothing else provides."""
    shares: dict[Split, float] = {}
    if plan.test_dir is None and plan.val_dir is None and not provided:
        shares["test"] = plan.test_split
    if plan.val_dir is None:
        shares["val"] = plan.val_split
    return shares


def _require_every_class(
    samples: Sequence[Sample], class_names: Sequence[str], directory: str
) -> None:
    present = {sample.label for sample in samples}
    missing = [name for label, name in enumerate(class_names) if label not in present]
    if missing:
        raise DataError(
            f"{directory} has no usable training image of {', '.join(map(repr, missing))}: "
            "add some, or remove the class folder."
        )
