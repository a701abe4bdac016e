"""Batches of an image folder, as a `tf.data.Dataset`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import tensorflow as tf

from imgclf.data.augmentation import Augmentation, resolve_augmentation
from imgclf.data.batching import BatchSource
from imgclf.data.findings import MIN_MEASURED
from imgclf.data.folder import FoundFile, ImageFolder, LeftOut, Split, match_classes, read_folder
from imgclf.data.policy import DataFormat, InputPolicy, ResizeMode
from imgclf.data.recorded import read_split
from imgclf.data.samples import (
    Quarantined,
    Sample,
    collect_samples,
    compile_group_by,
    divide_samples,
    drop_leaks,
    group_samples,
)
from imgclf.data.scanning import available_processors
from imgclf.data.store import Store, StoreMode, open_store
from imgclf.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Batches", "ImageData", "Plan", "make_generators"]

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
    """

    train_dir: str
    val_dir: str | None
    test_dir: str | None
    policy: InputPolicy
    batch_size: int
    augmentation: Augmentation
    val_horizontal_flip: bool = False
    val_split: float = 0.2
    test_split: float = 0.0
    seed: int = 0
    store: StoreMode = "auto"
    strict: bool = False
    group_by: str | None = None
    near_duplicates: bool = True
    split_file: str | None = None

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


class Batches(tf.data.Dataset):
    """Batches of images and labels; a `tf.data.Dataset` that knows what is in it.

    Images are uint8 ``(batch, height, width, channels)``, 0..255 (``channels_first`` on request);
    labels are float32, ``(batch, 1)`` for two classes (1 is the second name) and one-hot
    ``(batch, num_classes)`` for more. Training batches come in a new order each time they are
    iterated over; iteration n gives the same batches in every process with the same seed.

    Example:
        >>> train, val = imgclf.make_generators("photos/")           # doctest: +SKIP
        >>> train.class_names, train.num_samples                     # doctest: +SKIP
        >>> images, labels = next(iter(train))                       # doctest: +SKIP
    """

    def __init__(
        self, source: BatchSource, class_names: Sequence[str], samples: Sequence[Sample], plan: Plan
    ) -> None:
        self._source = source
        self._class_names = tuple(class_names)
        self._samples = tuple(samples)
        self._plan = plan
        self._epoch = -1
        self._dataset = self._every_epoch()
        super().__init__(self._dataset._variant_tensor)  # noqa: SLF001 - how datasets are derived

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; a label is an index into them."""
        return self._class_names

    @property
    def file_paths(self) -> tuple[str, ...]:
        """``(num_samples,)`` absolute paths, in unshuffled order."""
        return tuple(sample.path for sample in self._samples)

    @property
    def labels(self) -> NDArray[np.int64]:
        """``(num_samples,)`` class indices, in the order of `file_paths`."""
        return self._source.labels

    @property
    def samples(self) -> tuple[Sample, ...]:
        """``(num_samples,)`` what is known of each image, in the order of `file_paths`."""
        return self._samples

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self._class_names)

    @property
    def num_samples(self) -> int:
        """Images per epoch."""
        return self._source.num_samples

    @property
    def batch_size(self) -> int:
        """Images per batch; the last one of an epoch may be smaller."""
        return self._source.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch: samples / batch size, rounded up."""
        return self._source.steps_per_epoch

    @property
    def policy(self) -> InputPolicy:
        """What every image was turned into; a classifier records it."""
        return self._plan.policy

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one image, for `imgclf.build_model`."""
        return self._plan.policy.input_shape

    @property
    def plan(self) -> Plan:
        """What the batches were made from: frozen, picklable, buildable again."""
        return self._plan

    @property
    def source(self) -> BatchSource:
        """Any batch as NumPy arrays, as a function of epoch and step."""
        return self._source

    def stream(self, epoch: int = 0, step: int = 0) -> tf.data.Dataset:
        """Return all batches from one place on, epoch after epoch, without end.

        Args:
            epoch: First epoch, counted from 0.
            step: First batch in it, counted from 0.

        Returns:
            A dataset without end; any number of steps may be taken from it.
        """
        steps = self.steps_per_epoch
        places = tf.data.Dataset.range(epoch * steps + step, np.iinfo(np.int64).max)
        return self._load(places.map(lambda place: (place // steps, place % steps)))

    def pixels(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the plain images, unshuffled and not augmented, a batch at a time.

        Yields:
            uint8 ``(batch, height, width, channels)``, in the order of `file_paths`.
        """
        for first in range(0, self.num_samples, self.batch_size):
            yield self._source.pixels.rows(self._source.rows[first : first + self.batch_size])

    @property
    def element_spec(self) -> Any:
        """Types and shapes of a batch."""
        return self._dataset.element_spec

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._dataset]

    def _every_epoch(self) -> tf.data.Dataset:
        """Each iteration is the next epoch; transformations such as ``repeat`` keep that."""

        def next_epoch() -> np.int64:
            self._epoch += 1
            return np.int64(self._epoch)

        def places(_: tf.Tensor) -> tf.data.Dataset:
            epoch = tf.numpy_function(next_epoch, [], tf.int64)
            steps = tf.data.Dataset.range(self.steps_per_epoch)
            return steps.map(lambda step: (epoch, step))

        batches = self._load(tf.data.Dataset.range(1).flat_map(places))
        return batches.apply(tf.data.experimental.assert_cardinality(self.steps_per_epoch))

    def _load(self, places: tf.data.Dataset) -> tf.data.Dataset:
        """Turn (epoch, step) into batches, in a few threads, in order."""

        def load(epoch: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images, labels = tf.numpy_function(
                self._source.load, [epoch, step], (tf.uint8, tf.float32), stateful=False
            )
            images.set_shape((None, *self.input_shape))
            labels.set_shape((None, self._source.targets.shape[1]))
            return images, labels

        threads = min(2, available_processors())
        dataset = places.map(load, num_parallel_calls=threads, deterministic=True).prefetch(threads)
        options = tf.data.Options()
        # The autotuner's thread holds up the end of every second epoch or so, by seconds.
        options.autotune.enabled = False
        return dataset.with_options(options)


def make_generators(
    train_dir: str | os.PathLike[str],
    val_dir: str | os.PathLike[str] | None = None,
    *,
    image_size: tuple[int, int] = (150, 150),
    batch_size: int = 32,
    augment: str | Augmentation = "recipe",
    shear_range: float | None = None,
    zoom_range: float | None = None,
    horizontal_flip: bool | None = None,
    val_horizontal_flip: bool = False,
    val_split: float = 0.2,
    channels: Literal[1, 3] = 3,
    resize: ResizeMode = "stretch",
    data_format: DataFormat = "channels_last",
    seed: int = 0,
    store: StoreMode = "auto",
    strict: bool = False,
    group_by: str | None = None,
    near_duplicates: bool = True,
    split_file: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Batches, Batches]:
    """Turn image folders into training and validation batches.

    Every file is decoded once, before this returns; unreadable ones are left out and named in a
    log warning. What comes back goes into `imgclf.fit` or straight into Keras' ``model.fit``.

    Args:
        train_dir: Folder with one sub-folder per class; or a folder with ``train/`` and ``val/``
            in it, when `val_dir` is None.
        val_dir: A folder like `train_dir` with other images; None takes ``val/`` beside
            ``train/``, or cuts `val_split` off `train_dir`.
        image_size: ``(height, width)`` in pixels.
        batch_size: Images per batch, from 1 on.
        augment: How training images are varied: ``"none"``, ``"recipe"``, ``"light"``,
            ``"strong"`` or an `Augmentation`.
        shear_range: Largest shear, in degrees; replaces the preset's.
        zoom_range: Largest relative zoom, 0 to 1; replaces the preset's.
        horizontal_flip: Whether half of the training images are mirrored; replaces the preset's.
        val_horizontal_flip: Whether half of the validation images are mirrored. The origin's
            recipe did; it is off here because it measures accuracy on pictures that nobody
            took, and makes two measurements of one model differ for no reason.
        val_split: Share of the images that is cut off for validation, by content.
        channels: 3 for colour, 1 for grey.
        resize: ``"stretch"``, ``"crop"`` or ``"pad"``; see `InputPolicy`.
        data_format: Order of a batch's axes.
        seed: Decides split, order and augmentation.
        store: Where decoded pixels are kept: ``"auto"``, ``"memory"``, ``"disk"`` or ``"off"``.
        strict: Raise at the first unreadable image instead of leaving it out.
        group_by: A regular expression over paths, such as ``"patient[0-9]+"``: images with the
            same match stay on one side when `val_split` is cut off.
        near_duplicates: Whether images that look the same stay on one side too, and are left out of
            a validation folder where they are in training; otherwise only the same files.
        split_file: The ``split.csv`` of an earlier run: its images keep their sides, new ones join
            the side of their copies or are divided by content.
        progress: Called while scanning with the number of files done and in all.

    Returns:
        Training and validation batches. Validation batches are never shuffled.

    Raises:
        DataNotFoundError: A folder does not exist.
        DataError: A folder cannot be used; the message says what to change.
        ArgumentError: An argument is out of range.

    Example:
        >>> train, val = imgclf.make_generators("data/train", "data/val")    # doctest: +SKIP
        >>> model = imgclf.build_model("three_conv", train.input_shape)      # doctest: +SKIP
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ArgumentError(
            f"batch_size={batch_size!r} is not accepted: give a whole number from 1 on."
        )
    plan = Plan(
        train_dir=os.path.abspath(train_dir),  # noqa: PTH100 - resolve() would follow links
        val_dir=None if val_dir is None else os.path.abspath(val_dir),  # noqa: PTH100
        test_dir=None,
        policy=InputPolicy(
            cast("tuple[int, int]", tuple(image_size)), channels, resize, data_format
        ),
        batch_size=batch_size,
        augmentation=resolve_augmentation(
            augment, shear_range=shear_range, zoom_range=zoom_range, horizontal_flip=horizontal_flip
        ),
        val_horizontal_flip=val_horizontal_flip,
        val_split=val_split,
        seed=seed,
        store=store,
        strict=strict,
        group_by=group_by,
        near_duplicates=near_duplicates,
        split_file=None if split_file is None else os.path.abspath(split_file),  # noqa: PTH100
    )
    data = plan.build(progress)
    return data.train, data.val


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
    ) -> tuple[Store, list[Sample]]:
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
        return store, samples

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
        self, store: Store, samples: Sequence[Sample], class_names: Sequence[str], split: Split
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
        )
        return Batches(source, class_names, samples, plan)


def _build(plan: Plan, progress: Progress | None) -> ImageData:
    builder = _Builder(plan, progress)
    store, samples = builder.open(plan.train_dir)
    class_names = store.folder.class_names
    shares = _shares(plan, store.folder)
    if any(shares.values()):
        looks = store.signatures if plan.near_duplicates else None
        samples = group_samples(samples, looks, plan.group_by)
    recorded = read_split(plan.split_file) if plan.split_file is not None else None
    divided = divide_samples(samples, class_names, shares, plan.seed, recorded)
    builder.name_unplaced(samples, divided)
    _require_every_class(divided["train"], class_names, plan.train_dir)
    stores: dict[Split, Store] = {"train": store, "val": store, "test": store}
    own_folders: dict[Split, str | None] = {"val": plan.val_dir, "test": plan.test_dir}
    for split, directory in own_folders.items():
        if directory is not None:
            stores[split], divided[split] = builder.open(directory, class_names)
    num_leaked = 0
    for split, directory in own_folders.items():
        had_images = bool(divided[split])
        # Images that were cut off the training folder are no copies already.
        given = directory is not None or split in store.folder.splits
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
    plan: Plan, stores: Mapping[Split, Store], divided: Mapping[Split, list[Sample]], split: Split
) -> tuple[list[Sample], int]:
    if not plan.near_duplicates:
        return drop_leaks(divided[split], divided["train"])
    return drop_leaks(
        divided[split], divided["train"], stores[split].signatures, stores["train"].signatures
    )


def _shares(plan: Plan, folder: ImageFolder) -> dict[Split, float]:
    """Choose what has to be cut off the training folder: only what nothing else provides."""
    shares: dict[Split, float] = {}
    if plan.test_dir is None and plan.val_dir is None and not folder.splits:
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
