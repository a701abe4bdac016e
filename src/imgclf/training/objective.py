"""The loss of a training, and the weight of each class in it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgclf.data.batches.dataset import Batches
from imgclf.errors import ArgumentError

__all__ = ["ClassWeight", "balanced_class_weights", "choose_class_weights", "choose_loss"]

ClassWeight = Mapping[int, float] | Mapping[str, float]
"""A weight for each class, by index or by name."""


def choose_loss(
    model: keras.Model, train: tf.data.Dataset, label_smoothing: float
) -> keras.losses.Loss:
    """Choose the cross-entropy that fits head and labels.

    Args:
        model: A classifier; its last layer says whether it gives probabilities or logits.
        train: Batches of images and labels.
        label_smoothing: Label smoothing, 0 to 1 (exclusive).

    Returns:
        Binary cross-entropy for one unit, categorical for more: sparse where labels are indices.

    Raises:
        ArgumentError: Labels that are indices cannot be smoothed.
    """
    activation = getattr(model.layers[-1], "activation", None)
    from_logits = activation is keras.activations.linear
    if model.output_shape[-1] == 1:
        return keras.losses.BinaryCrossentropy(from_logits, label_smoothing)
    label_shape = train.element_spec[1].shape
    if label_shape.rank == 1 or label_shape[-1] == 1:
        if label_smoothing:
            raise ArgumentError(
                "label_smoothing needs one-hot labels, which batches of make_generators have; "
                f"these are class indices of shape {tuple(label_shape)}."
            )
        return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    return keras.losses.CategoricalCrossentropy(from_logits, label_smoothing)


def choose_class_weights(
    class_weight: ClassWeight | str | None, train: tf.data.Dataset, units: int
) -> dict[int, float] | None:
    """Choose the weight of each class in the loss.

    Args:
        class_weight: By class index or class name, ``"balanced"`` or None.
        train: Batches; ``"balanced"`` needs those of `make_generators`, and so do names, unless
            Keras has put ``class_names`` on the dataset.
        units: Output units of the network.

    Returns:
        The weights by class index; None where all weigh the same.

    Raises:
        ArgumentError: A class is unknown, a weight is not accepted, ``"balanced"`` cannot be worked
            out, or comes on top of oversampling.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, Mapping):
        if not isinstance(train, Batches) and len(train.element_spec) > 2:
            raise ArgumentError(
                "class_weight comes on top of the weights of images that train has already: give "
                "one of them."
            )
        names = getattr(train, "class_names", None) or []
        return _checked_weights(class_weight, list(names), max(2, units))
    if class_weight != "balanced" or not isinstance(train, Batches):
        raise ArgumentError(
            f"class_weight={class_weight!r} is not accepted: give a weight for each class name or "
            "index, or 'balanced' with batches of make_generators."
        )
    if train.plan.oversample:
        raise ArgumentError(
            "class_weight='balanced' and oversample=True would make up for rare classes twice: "
            "give one of them."
        )
    return balanced_class_weights(train.labels, train.num_classes)


def _checked_weights(
    given: Mapping[Any, Any], names: Sequence[str], num_classes: int
) -> dict[int, float]:
    """Return weights by class index; refuse classes that there are not, and what is no weight."""
    weights: dict[int, float] = {}
    for key, weight in given.items():
        index = _class_index(key, names, num_classes)
        if index in weights:
            raise ArgumentError(
                f"class_weight has two weights for the class {key!r}, by name and by index: give "
                "one."
            )
        is_number = isinstance(weight, numbers.Real) and not isinstance(weight, bool)
        if not is_number or not 0 <= weight < math.inf:
            raise ArgumentError(
                f"class_weight[{key!r}]={weight!r} is not accepted: give a number from 0 on."
            )
        weights[index] = float(weight)
    return weights


def _class_index(key: Any, names: Sequence[str], num_classes: int) -> int:
    if isinstance(key, str) and key in names:
        return names.index(key)
    is_index = isinstance(key, numbers.Integral) and not isinstance(key, bool)
    if is_index and int(key) in range(num_classes):
        return int(key)
    accepted = f"an index from 0 to {num_classes - 1}"
    if names:
        accepted = f"one of {', '.join(map(repr, names))}, or {accepted}"
    raise ArgumentError(
        f"class_weight names the class {key!r}, which there is not: give {accepted}."
    )


def balanced_class_weights(labels: NDArray[np.int64], num_classes: int) -> dict[int, float]:
    """Weigh classes by their inverse frequency, so that each counts as much in the loss.

    The formula is scikit-learn's ``"balanced"`` (King and Zeng 2001).

    Args:
        labels: ``(num_images,)`` class indices.
        num_classes: Number of classes; each must occur.

    Returns:
        The weight of each class; their mean over the images is 1.
    """
    counts = np.bincount(labels, minlength=num_classes)
    return {label: len(labels) / (num_classes * int(n)) for label, n in enumerate(counts)}
