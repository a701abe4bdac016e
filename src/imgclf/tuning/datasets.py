"""Plain `tf.data.Dataset`s as the images of a search."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgclf.data.batches.augmentation import Augmentation
from imgclf.data.batches.batch_source import BatchSource, encode_labels
from imgclf.data.batches.dataset import Batches
from imgclf.data.batches.plan import Plan
from imgclf.data.division.samples import Sample
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.store.pixel_store import StoredPixels
from imgclf.errors import ArgumentError
from imgclf.tuning.dataset_server import receive_batches, serve_dataset
from imgclf.tuning.space import Space

__all__ = ["FIXED_DIMENSIONS", "DatasetPlan", "plan_datasets", "require_searchable"]

FIXED_DIMENSIONS = ("batch_size", "augment", "image_size")
"""What cannot be searched with a plain dataset: its batches are made already."""

NUM_AXES = 4
"""Axes of a batch: images, height, width, channels."""

PIXEL_RANGE = "give images of 0..255; the networks rescale them themselves."


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """The images of two plain datasets, for the trials' processes; picklable.

    The training dataset stays in its own process, which serves its batches, shuffled and augmented
    anew in each epoch. The validation images, which never change, are in a file.

    Attributes:
        policy: The images' size and channels.
        batch_size: Images in the first validation batch.
        class_names: Names of the classes.
        steps_per_epoch: Training batches per epoch.
        image_dtype: Data type of the training images.
        train_address: Socket that serves the training batches.
        val_pixels: File of the validation images, uint8.
        val_labels: File of their class indices.
        digest: Digest of the validation images and of the training batches' form and number.
        augmentation: No augmentation; as of a `Plan`.
        seed: Not used; as of a `Plan`.
    """

    policy: InputPolicy
    batch_size: int
    class_names: tuple[str, ...]
    steps_per_epoch: int
    image_dtype: str
    train_address: str
    val_pixels: str
    val_labels: str
    digest: str
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    def train(self) -> tf.data.Dataset:
        """Return the training batches, repeated without end."""
        units = 1 if len(self.class_names) == 2 else len(self.class_names)
        signature = (
            tf.TensorSpec((None, *self.policy.input_shape), self.image_dtype),
            tf.TensorSpec((None, units), tf.float32),
        )
        options = tf.data.Options()
        options.autotune.enabled = False  # As for Batches: it delays ends of epochs by seconds.
        batches = tf.data.Dataset.from_generator(self._labelled, output_signature=signature)
        return batches.repeat().prefetch(2).with_options(options)

    def _labelled(self) -> Iterator[tuple[NDArray[Any], NDArray[np.float32]]]:
        for images, labels in receive_batches(self.train_address):
            yield images, _targets(labels, len(self.class_names))

    def val(self) -> Batches:
        """Return the validation batches."""
        labels = np.load(self.val_labels, allow_pickle=False)
        shape = (len(labels), *self.policy.pixel_shape)
        source = BatchSource(
            pixels=StoredPixels(np.memmap(self.val_pixels, np.uint8, "r", shape=shape)),
            rows=np.arange(len(labels), dtype=np.int32),
            labels=labels,
            num_classes=len(self.class_names),
            batch_size=self.batch_size,
            shuffled=False,
            augmentation=self.augmentation,
            data_format=self.policy.data_format,
            seed=self.seed,
        )
        samples = [
            Sample(row, f"val[{row}]", int(label), "", "val") for row, label in enumerate(labels)
        ]
        plan = Plan("", None, None, self.policy, self.batch_size, self.augmentation)
        return Batches(source, self.class_names, samples, plan)


def require_searchable(space: Space) -> None:
    """Refuse a space with dimensions that a plain dataset has fixed already.

    Raises:
        ArgumentError: The space searches batch size, image size or augmentation.
    """
    fixed = [name for name in space.names if name in FIXED_DIMENSIONS]
    if fixed:
        raise ArgumentError(
            f"{fixed[0]} cannot be searched with a plain tf.data.Dataset, whose batches are made "
            "already: leave it out, or give what imgclf.make_generators returned."
        )


@contextmanager
def plan_datasets(train: tf.data.Dataset, val: tf.data.Dataset) -> Iterator[DatasetPlan]:
    """Make two plain datasets available to the trials' processes.

    The validation images are read once and kept in a temporary file.

    Args:
        train: Batches of ``(images, labels)``: images 0..255, uint8 or float,
            ``(batch, height, width, channels)``; labels as indices or one-hot.
        val: Batches of the same form, with the same images in each pass.

    Yields:
        The plan; valid until the context is left.

    Raises:
        ArgumentError: A dataset has another form.
    """
    for name, dataset in (("train", train), ("val", val)):
        _require_batches(name, dataset)
    if train.element_spec[0].shape[1:] != val.element_spec[0].shape[1:]:
        raise ArgumentError(
            f"train has images of {tuple(train.element_spec[0].shape[1:])}, val of "
            f"{tuple(val.element_spec[0].shape[1:])}: give one size."
        )
    height, width, channels = val.element_spec[0].shape[1:]
    with tempfile.TemporaryDirectory(prefix="imgclf-") as name:
        folder = Path(name)
        with (folder / "val.u8").open("wb") as file:
            labels, batch_size, digest = _write_pixels(val, file)
        names = _class_names(train, val, labels)
        indices = labels.argmax(axis=1) if labels.shape[1] > 1 else labels[:, 0].astype(np.int64)
        np.save(folder / "val-labels.npy", indices.astype(np.int64))
        steps = _count_batches(train)
        digest.update(f"{train.element_spec} {steps} {names}".encode())
        with serve_dataset(train, folder) as address:
            yield DatasetPlan(
                InputPolicy((height, width), channels),
                batch_size,
                names,
                steps,
                train.element_spec[0].dtype.name,
                address,
                str(folder / "val.u8"),
                str(folder / "val-labels.npy"),
                digest.hexdigest()[:16],
            )


def _require_batches(name: str, dataset: tf.data.Dataset) -> None:
    spec = dataset.element_spec
    wanted = "give batches of (images, labels), images (batch, height, width, 1 or 3), 0..255."
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise ArgumentError(f"{name} has elements of the form {spec}: {wanted}")
    images, labels = spec
    shape = getattr(images, "shape", None)
    if shape is None or shape.rank != NUM_AXES or None in shape[1:] or shape[3] not in (1, 3):
        raise ArgumentError(f"{name} has images of shape {shape}: {wanted}")
    if not (images.dtype == tf.uint8 or images.dtype.is_floating):
        raise ArgumentError(f"{name} has images of type {images.dtype.name}: {wanted}")
    if labels.shape.rank not in (1, 2) or None in labels.shape[1:]:
        raise ArgumentError(f"{name} has labels of shape {labels.shape}: give indices or one-hot.")
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ArgumentError(f"{name} has no end: leave repeat() out, or cut it with take(steps).")


def _write_pixels(val: tf.data.Dataset, file: BinaryIO) -> tuple[NDArray[np.float64], int, Any]:
    """Write the images to a file as uint8.

    Returns:
        Labels ``(num_images, 1 or num_classes)``, batch size, and a digest of both.
    """
    digest, found, largest = hashlib.sha256(), [], 0.0
    is_float = val.element_spec[0].dtype.is_floating
    for images, labels in val.as_numpy_iterator():
        if not len(images):
            continue
        if images.min() < 0:
            raise ArgumentError(f"val has the pixel value {images.min():g}: {PIXEL_RANGE}")
        largest = max(largest, float(images.max()))
        # Image files, which are classified later, have whole values, too.
        content = np.rint(images).astype(np.uint8).tobytes()
        file.write(content)
        digest.update(content)
        found.append(labels.reshape(len(images), -1).astype(np.float64))
    if not found:
        raise ArgumentError("val has no batches: give some images to choose the best trial with.")
    if largest > 255 or (is_float and largest <= 1):
        raise ArgumentError(f"val has pixel values up to {largest:g}: {PIXEL_RANGE}")
    labels = np.concatenate(found)
    if not np.isin(labels, np.arange(labels.max() + 1)).all() or labels.min() < 0:
        raise ArgumentError("val has labels that are not whole numbers: give indices or one-hot.")
    digest.update(labels.tobytes())
    return labels, len(found[0]), digest


def _class_names(
    train: tf.data.Dataset, val: tf.data.Dataset, labels: NDArray[np.float64]
) -> tuple[str, ...]:
    """Return the class names that Keras sets on a dataset; otherwise the indices as names."""
    given: Sequence[str] | None = getattr(train, "class_names", getattr(val, "class_names", None))
    if given is not None:
        return tuple(given)
    count = labels.shape[1] if labels.shape[1] > 1 else max(2, int(labels.max()) + 1)
    return tuple(map(str, range(count)))


def _count_batches(train: tf.data.Dataset) -> int:
    steps = int(train.cardinality())
    if steps == tf.data.UNKNOWN_CARDINALITY:
        steps = int(train.reduce(np.int64(0), lambda count, *_: count + 1))
    if not steps:
        raise ArgumentError("train has no batches: give some images to learn from.")
    return steps


def _targets(labels: NDArray[Any], num_classes: int) -> NDArray[np.float32]:
    """Encode indices or one-hot labels as the network's head needs them."""
    columns = labels.reshape(len(labels), -1)
    if columns.shape[1] > 1:
        # They may be soft labels, as of MixUp.
        return columns[:, 1:].astype(np.float32) if num_classes == 2 else columns.astype(np.float32)
    if num_classes == 2:
        return columns.astype(np.float32)
    indices = columns[:, 0].astype(np.int64)
    if indices.size and not 0 <= indices.min() <= indices.max() < num_classes:
        raise ArgumentError(
            f"train has the label {indices.max()}; val has {num_classes} classes: give "
            "validation images of every class, or one-hot labels."
        )
    return encode_labels(indices, num_classes)
