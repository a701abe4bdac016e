"""The network of an export: uint8 images in, a calibrated probability for every class out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

if TYPE_CHECKING:
    from imgclf.classifiers.record import ClassifierRecord

__all__ = ["INPUT_NAME", "OUTPUT_NAME", "export_model"]

INPUT_NAME, OUTPUT_NAME = "image", "probabilities"

SMALLEST = 1e-30
"""Added by no means: probabilities below it count as it, where their logarithm is needed."""


def export_model(record: ClassifierRecord) -> keras.Model:
    """Return a network whose outputs are a classifier's own answers.

    The temperature is part of the weights: dividing the logits by it is dividing kernel and bias.
    Of two classes, the one logit becomes two, the first of them 0.

    Args:
        record: The classifier.

    Returns:
        A network with the input ``image``, uint8 ``(batch, height, width, channels)``, and the
        output ``probabilities``, float32 ``(batch, num_classes)``; rows sum to 1.
    """
    model, policy = record.model, record.policy
    temperature = 1.0 if record.calibration is None else record.calibration.temperature
    calibrated = model if record.mirrored else _with_calibrated_head(model, temperature)
    image = keras.Input(policy.pixel_shape, dtype="uint8", name=INPUT_NAME)
    pixels = image
    if policy.data_format == "channels_first":
        pixels = keras.layers.Permute((3, 1, 2), name="channels_first")(pixels)
    answers = calibrated(pixels)
    if record.mirrored:
        axis = 3 if policy.data_format == "channels_first" else 2
        mirror = keras.ops.flip(pixels, axis=axis)
        answers = keras.layers.Average(name="both")([answers, calibrated(mirror)])
        if answers.shape[-1] == 1:
            answers = keras.ops.concatenate([1.0 - answers, answers], axis=-1)
        logits = keras.ops.log(keras.ops.maximum(answers, SMALLEST)) / temperature
        answers = keras.ops.softmax(logits)
    named = keras.layers.Identity(name=OUTPUT_NAME)(answers)
    return keras.Model(image, named, name=model.name)


def _with_calibrated_head(model: keras.Model, temperature: float) -> keras.Model:
    """Return the network with a head of one output a class, its logits divided."""
    head = model.layers[-1]
    kernel, bias = (np.asarray(weight, np.float64) / temperature for weight in head.get_weights())
    if kernel.shape[-1] == 1:
        kernel = np.concatenate([np.zeros_like(kernel), kernel], axis=-1)
        bias = np.concatenate([np.zeros_like(bias), bias])
    calibrated = keras.layers.Dense(kernel.shape[-1], activation="softmax", name=head.name)
    hidden = head._inbound_nodes[-1].input_tensors[0]  # noqa: SLF001 - its latest call
    outputs = calibrated(hidden)
    calibrated.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    return keras.Model(model.inputs[0], outputs, name=model.name)
