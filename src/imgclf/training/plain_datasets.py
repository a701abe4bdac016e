"""Plain `tf.data.Dataset`s as batches for a network: what does not fit is refused in one line."""

from __future__ import annotations

import logging
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from imgclf.data.batches.dataset import as_written
from imgclf.errors import ArgumentError

__all__ = ["batches_for", "require_form"]

_logger = logging.getLogger(__name__)

LARGEST_SCALE = 1 / 100
"""A `Rescaling` by so little divides pixels of 0..255; by more, it reads others."""


def batches_for(model: keras.Model, data: tf.data.Dataset, name: str) -> tf.data.Dataset:
    """Bring the labels of a plain dataset into the form that the head of a network needs.

    Taken are class indices, ``(batch,)`` or ``(batch, 1)``, of any number type; for one output
    unit also the one-hot labels of two classes; for several units one-hot or soft labels.

    Args:
        model: A classifier.
        data: Batches of images and labels, which `require_form` has accepted.
        name: ``"train"`` or ``"val"``, for messages.

    Returns:
        The dataset; for one output unit with labels float32 ``(batch, 1)``.

    Raises:
        ArgumentError: It holds labels of another form.
    """
    units = model.output_shape[-1]
    labels = data.element_spec[1]
    _require_labels(labels.shape, units, name)
    _look_at_first_batch(model, data, name)
    if units != 1 or (labels.shape[1:] == (1,) and labels.dtype == tf.float32):
        return data

    def one_column(images: Any, labels: tf.Tensor, *weights: tf.Tensor) -> tuple[Any, ...]:
        if labels.shape.rank == 2:
            labels = labels[:, -1:]  # Of two columns, the share of the second class.
        return images, tf.cast(tf.reshape(labels, (-1, 1)), tf.float32), *weights

    return data.map(as_written(one_column))


def require_form(model: keras.Model, data: tf.data.Dataset, name: str) -> None:
    """Require batches of (images, labels), of images that the network reads.

    Args:
        model: A classifier.
        data: A plain dataset; weights of the images may be its third part.
        name: ``"train"`` or ``"val"``, for messages.

    Raises:
        ArgumentError: It holds no batches, or others.
    """
    spec = data.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ArgumentError(
            f"{name} has elements of the form {_shown(spec)}: give batches of (images, labels)."
        )
    wanted = tuple(model.input_shape)
    images = getattr(spec[0], "shape", tf.TensorShape(None))
    if images.rank == len(wanted) - 1:
        raise ArgumentError(
            f"{name} has single images of shape {tuple(images)}, not batches: give "
            f"{name}.batch(32)."
        )
    if not images.is_compatible_with(wanted):
        raise ArgumentError(
            f"{name} has images of shape {tuple(images[1:])}, the model reads {wanted[1:]}: "
            "give images of that size, or build the model for these."
        )
    if int(data.cardinality()) == 0:
        raise ArgumentError(f"{name} has no batches: give some images.")


def _require_labels(shape: tf.TensorShape, units: int, name: str) -> None:
    """Require class indices, or one-hot labels for as many classes as the network knows."""
    num_classes = 2 if units == 1 else units
    known = shape.rank is None or (shape.rank == 2 and shape[1] is None)
    if known or shape.rank == 1 or (shape.rank == 2 and shape[1] in (1, num_classes)):
        return
    raise ArgumentError(
        f"{name} has labels of shape {tuple(shape)}, the model knows {num_classes} classes: give "
        f"class indices, (batch,), or one-hot labels, (batch, {num_classes})."
    )


def _look_at_first_batch(model: keras.Model, data: tf.data.Dataset, name: str) -> None:
    """Find what only values tell: indices of no class, and pixels of another range."""
    if int(data.cardinality()) < 0:  # It may be a stream that gives each batch once.
        return
    images, labels, *_ = next(data.take(1).as_numpy_iterator())
    units = model.output_shape[-1]
    num_classes = 2 if units == 1 else units
    if labels.size and (labels.ndim == 1 or labels.shape[1] == 1):
        low, high = labels.min(), labels.max()
        if not 0 <= low <= high <= num_classes - 1:
            raise ArgumentError(
                f"{name} has the label {low if low < 0 else high:g}, the model knows "
                f"{num_classes} classes: give indices from 0 to {num_classes - 1}, or build it "
                "with num_classes=..."
            )
    if not (isinstance(images, np.ndarray) and images.dtype.kind == "f" and images.size):
        return
    if 0 < images.max() <= 1 and _divides_pixels(model):
        _logger.warning(
            "%s has images with values up to %g; the model divides pixels of 0..255 itself: leave "
            "out a rescaling of yours, or it sees nearly black images.", name, images.max(),
        )  # fmt: skip


def _divides_pixels(model: keras.Model) -> bool:
    layers = (layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer))
    first = next(layers, None)
    return isinstance(first, keras.layers.Rescaling) and np.max(first.scale) <= LARGEST_SCALE


def _shown(spec: Any) -> str:
    """Describe the elements of a dataset in a few words."""
    if isinstance(spec, tuple):
        return f"a tuple of {len(spec)}"
    shape = getattr(spec, "shape", None)
    return type(spec).__name__ if shape is None else f"one tensor of shape {shape}"
