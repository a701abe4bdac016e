"""Soft labels, as MixUp and CutMix make them: their accuracy and class weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from imgclf.data.batches.dataset import Batches, as_written

__all__ = ["SoftBinaryAccuracy", "choose_accuracy", "weigh_classes"]


@keras.saving.register_keras_serializable("imgclf")
class SoftBinaryAccuracy(keras.metrics.BinaryAccuracy):
    """The accuracy of one output unit, whose labels may lie between 0 and 1.

    Keras' own asks whether label and rounded answer are the same number, which a label of 0.8
    never is. Here a label counts as the class that has most of it.
    """

    def __init__(
        self, name: str = "accuracy", dtype: Any = None, *, from_logits: bool = False
    ) -> None:
        """Name the metric.

        Args:
            name: Its name in the history.
            dtype: Of its sums.
            from_logits: Whether the network answers logits, not probabilities.
        """
        super().__init__(name=name, dtype=dtype)
        self.from_logits = from_logits

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count a batch: labels and answers, ``(batch, 1)`` or ``(batch,)``."""
        border = 0.0 if self.from_logits else 0.5
        labels = keras.ops.cast(y_true, "float32") > 0.5
        answers = keras.ops.cast(y_pred, "float32") > border
        return super().update_state(
            keras.ops.cast(labels, "float32"), keras.ops.cast(answers, "float32"), sample_weight
        )

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes it again from."""
        return {"name": self.name, "dtype": self.dtype, "from_logits": self.from_logits}


def choose_accuracy(model: keras.Model, train: tf.data.Dataset) -> Any:
    """Choose the metric called accuracy; one that soft labels do not make 0.

    Keras' own is taken where it counts the same, so that a saved model needs nothing but Keras.

    Args:
        model: A classifier with one output unit, or one for each class.
        train: Batches of images and labels.

    Returns:
        What ``model.compile`` takes as a metric.
    """
    if model.output_shape[-1] != 1:
        return "accuracy"  # It compares the largest shares already.
    from_logits = getattr(model.layers[-1], "activation", None) is keras.activations.linear
    if from_logits or _may_be_soft(train):
        return SoftBinaryAccuracy(from_logits=from_logits)
    return "accuracy"


def _may_be_soft(train: tf.data.Dataset) -> bool:
    if isinstance(train, Batches):
        return train.plan.augmentation.mixes
    return not train.element_spec[1].dtype.is_integer


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

    return dataset.map(as_written(weigh))
