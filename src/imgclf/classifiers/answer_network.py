"""The network that a classifier's file carries for LiteRT: answers and features in one pass."""

from __future__ import annotations

import keras

from imgclf.classifiers.features import feature_tensors
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.engines.litert_conversion import convert_to_litert

__all__ = ["answer_model", "convert_answers"]


def answer_model(model: keras.Model, policy: InputPolicy, *, mirrored: bool) -> keras.Model:
    """Return a network with a classifier's answers and pooled features as its outputs.

    Args:
        model: The classifier's network.
        policy: How it reads images.
        mirrored: Whether its answers are the mean over each image and its mirror image.

    Returns:
        A network of the same layers. Its first output are the probabilities before calibration,
        ``(batch, units)``; then come the features, ``(batch, features)`` each, of the image itself.
    """
    image, answers = model.inputs[0], model.outputs[0]
    if mirrored:
        width_axis = 3 if policy.data_format == "channels_first" else 2
        answers = (answers + model(keras.ops.flip(image, axis=width_axis))) / 2
    features = [
        keras.ops.mean(tensor, axis=(1, 2)) if len(tensor.shape) == 4 else tensor
        for tensor in feature_tensors(model)
    ]
    return keras.Model(image, [answers, *features], name=model.name)


def convert_answers(model: keras.Model, policy: InputPolicy, *, mirrored: bool) -> bytes:
    """Convert a classifier's network, with its weights of this moment, to LiteRT's format.

    Args:
        model: The classifier's network.
        policy: How it reads images.
        mirrored: Whether its answers are the mean over each image and its mirror image.

    Returns:
        The content of ``network.tflite``: `answer_model`, for channels-last uint8 images.

    Raises:
        EngineError: The network cannot be converted, or LiteRT is not installed.
    """
    whole = answer_model(model, policy, mirrored=mirrored)
    return convert_to_litert(whole, data_format=policy.data_format)
