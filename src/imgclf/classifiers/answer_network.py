"""The network that answers outside TensorFlow: probabilities and features in one pass."""

from __future__ import annotations

import logging

import keras

from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.engines.features import feature_tensors
from imgclf.engines.litert import LiteRtNetwork
from imgclf.engines.litert_conversion import convert_to_litert
from imgclf.engines.litert_head import append_head
from imgclf.engines.onnx_conversion import convert_to_onnx
from imgclf.errors import EngineError
from imgclf.training.frozen_features import divide_network
from imgclf.training.frozen_network import find_converted
from imgclf.training.two_phase import in_two_phases

__all__ = ["answer_model", "convert_answers", "write_answers_as_onnx"]

_logger = logging.getLogger(__name__)


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

    Of a pretrained network whose features were computed, the frozen part is converted already.

    Args:
        model: The classifier's network.
        policy: How it reads images.
        mirrored: Whether its answers are the mean over each image and its mirror image.

    Returns:
        The content of ``network.tflite``: `answer_model`, for channels-last uint8 images.

    Raises:
        EngineError: The network cannot be converted, or LiteRT is not installed.
    """
    content = None if mirrored else _behind_known_features(model, policy)
    if content is not None:
        return content
    whole = answer_model(model, policy, mirrored=mirrored)
    return convert_to_litert(whole, data_format=policy.data_format)


def write_answers_as_onnx(model: keras.Model, policy: InputPolicy, *, mirrored: bool) -> bytes:
    """Convert a classifier's network, with its weights of this moment, to ONNX.

    Args:
        model: The classifier's network.
        policy: How it reads images.
        mirrored: Whether its answers are the mean over each image and its mirror image.

    Returns:
        `answer_model` in ONNX, for channels-last uint8 images.

    Raises:
        EngineError: A package is missing, or ONNX does not know a layer.
    """
    whole = answer_model(model, policy, mirrored=mirrored)
    names = ["probabilities", *(f"features_{place}" for place in range(1, len(whole.outputs)))]
    network = convert_to_onnx(whole, names, data_format=policy.data_format)
    return bytes(network.SerializeToString())


def _behind_known_features(model: keras.Model, policy: InputPolicy) -> bytes | None:
    """Put the head behind a pretrained part that was converted for its features already."""
    if not in_two_phases(model, None):
        return None
    divided = divide_network(model)
    if not divided.has_linear_head:
        return None
    known = find_converted(divided.frozen, policy.data_format)
    if known is None:
        return None
    sizes = tuple(int(tensor.shape[-1]) for tensor in feature_tensors(model))
    head = model.get_layer("head")
    activation = keras.activations.serialize(head.activation)
    try:
        if LiteRtNetwork(known).output_sizes != sizes or activation not in ("sigmoid", "softmax"):
            return None
        kernel, bias = head.get_weights()
        return append_head(known, kernel, bias, activation)
    except EngineError as error:
        _logger.info("%s", error)
        return None
