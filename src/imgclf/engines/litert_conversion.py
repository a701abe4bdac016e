"""Conversion of a Keras network to LiteRT's format, with the proof that it answers the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf.engines.litert import LiteRtNetwork
from imgclf.errors import EngineError, in_one_line
from imgclf.machine.memory import release_memory
from imgclf.machine.startup import silenced_logger, silenced_stderr

if TYPE_CHECKING:
    import keras

    from imgclf.data.pixels.input_policy import DataFormat

__all__ = ["convert_to_litert"]

TOLERANCE = 1e-4
"""Largest accepted difference of an output, as a share of its largest value; converted networks
differ by 1e-6. The converter reports success for networks, too, that have lost their weights."""

NUM_PROBES = 2
"""Images that prove a conversion; some converted networks run for a single image only."""


def convert_to_litert(
    model: keras.Model,
    *,
    data_format: DataFormat = "channels_last",
    configure: Callable[[Any], None] | None = None,
) -> bytes:
    """Convert a network to LiteRT's format; it may have several outputs.

    The converted network reads uint8 ``(batch, height, width, channels)`` with any number of
    images. Its outputs are those of the Keras network at this moment, in their order, in float32.
    It is run on images of noise and compared with the Keras network before it is returned.

    Args:
        model: A float32 network with one input, uint8 pixels 0..255.
        data_format: Order of the axes that the Keras network reads.
        configure: Is given the converter, to quantize; such a network is run, but not compared.

    Returns:
        The content of a ``.tflite`` file, for `imgclf.engines.litert.LiteRtNetwork`.

    Raises:
        EngineError: The network cannot be converted, or LiteRT is not installed or answers
            differently.

    Example:
        >>> import imgclf
        >>> content = convert_to_litert(imgclf.build_model("three_conv", (32, 32, 3), filters=8))
        >>> content[4:8]
        b'TFL3'
    """
    import tensorflow as tf

    try:
        with silenced_stderr(), silenced_logger("absl"), warnings.catch_warnings():
            # Of the uint8 image, whose range needs no calibration.
            warnings.filterwarnings("ignore", "Statistics for quantized inputs")
            frozen = _frozen_function(model, data_format)
            # Given the model, too, it would be saved as a SavedModel first: five times as long.
            converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
            if configure is not None:
                configure(converter)
            content: bytes = converter.convert()
    except Exception as error:  # the converter raises whatever its stages raise
        raise EngineError(
            f"The network {model.name!r} cannot be converted for LiteRT ({in_one_line(error)})."
        ) from error
    _prove(model, frozen, content, compared=configure is None)
    del frozen, converter
    release_memory()
    return content


def _frozen_function(model: keras.Model, data_format: DataFormat) -> Any:
    """Trace the network for channels-last images, with its weights as constants."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    height, width, channels = model.input_shape[1:]
    if data_format == "channels_first":
        channels, height, width = model.input_shape[1:]

    def outputs_of(images: tf.Tensor) -> Any:
        if data_format == "channels_first":
            images = tf.transpose(images, (0, 3, 1, 2))
        outputs = model(images, training=False)
        return list(outputs) if isinstance(outputs, list | tuple) else [outputs]

    call = tf.function(outputs_of, autograph=False, jit_compile=False)
    traced = call.get_concrete_function(tf.TensorSpec((None, height, width, channels), tf.uint8))
    # Without this step the file has no weights, and nothing says so.
    return convert_variables_to_constants_v2(traced)


def _prove(model: keras.Model, frozen: Any, content: bytes, *, compared: bool) -> None:
    """Refuse a converted network that cannot be run, or answers differently."""
    import tensorflow as tf

    from imgclf.machine.precision import float32_results

    try:
        network = LiteRtNetwork(content)
        shape = (NUM_PROBES, *network.image_shape)
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        found = network(images)
    except EngineError as error:
        raise EngineError(
            f"The network {model.name!r}, converted for LiteRT, does not run: {error}"
        ) from error
    with float32_results():
        expected = [output.numpy() for output in frozen(tf.constant(images))]
    if [one.shape for one in found] != [one.shape for one in expected]:
        raise EngineError(f"The network {model.name!r}, converted for LiteRT, has other outputs.")
    if not compared:
        return
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        difference = float(np.abs(ours - theirs).max(initial=0))
        # Written so that NaN, which compares with nothing, is refused as well.
        if not difference <= TOLERANCE * max(1e-30, float(np.abs(theirs).max(initial=0))):
            raise EngineError(
                f"The network {model.name!r}, converted for LiteRT, differs by {difference:.1e} in "
                f"output {number}."
            )
