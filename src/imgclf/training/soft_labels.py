"""Soft labels, as MixUp and CutMix make them: their accuracy and class weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

__all__ = ["choose_accuracy", "weigh_classes"]


def choose_accuracy(model: keras.Model) -> Any:
    """Choose the metric called accuracy; one that soft labels do not make 0.

    Keras' accuracy of one unit asks whether label and rounded answer are the same number, which
    a label of 0.8 never is. Here a label counts as the class that has most of it.

    Args:
        model: A classifier with one output unit, or one for each class.

    Returns:
        What ``model.compile`` takes as a metric.
    """
    if model.output_shape[-1] != 1:
        return "accuracy"  # It compares the largest shares already.
    from_logits = getattr(model.layers[-1], "activation", None) is keras.activations.linear
    border = 0.0 if from_logits else 0.5

    def agrees(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.cast(keras.ops.equal(y_true > 0.5, y_pred > border), "float32")

    return keras.metrics.MeanMetricWrapper(agrees, name="accuracy")


def weigh_classes(
    dataset: tf.data.Dataset, class_weight: Mapping[int, float], num_classes: int
) -> tf.data.Dataset:
    """Give each image the weight of its class, or of its classes by their shares.

    Keras' own way rounds the labels of two classes down, so that mixed images weigh wrongly.

    Args:
        dataset: Of images and labels, float32 ``(batch, 1)`` or ``(batch, num_classes)``.
        class_weight: By class index; a class without one weighs 1.
        num_classes: 2 or more.

    Returns:
        The dataset with a third part, float32 ``(batch,)``.
    """
    weights = tf.constant([float(class_weight.get(n, 1.0)) for n in range(num_classes)])

    def weigh(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        shares = tf.concat([1 - labels, labels], axis=1) if num_classes == 2 else labels
        return images, labels, tf.linalg.matvec(shares, weights)

    return dataset.map(weigh)
