"""Conversion of a Keras network to ONNX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from imgclf.errors import EngineError, in_one_line
from imgclf.machine.startup import silenced_logger, silenced_stderr

if TYPE_CHECKING:
    import keras

    from imgclf.data.pixels.input_policy import DataFormat

__all__ = ["INPUT_NAME", "convert_to_onnx"]

INPUT_NAME = "image"

OPSET = 18
"""Of 2023: every runtime of the last years reads it."""

MISSING = "ONNX needs onnx, tf2onnx and onnxruntime: pip install 'imgclf[onnx]'."


def convert_to_onnx(
    model: keras.Model,
    output_names: Sequence[str],
    *,
    data_format: DataFormat = "channels_last",
) -> Any:
    """Convert a network to ONNX; onnx's own checker has passed it.

    The converted network reads ``image``, uint8 ``(batch, height, width, channels)`` with any
    number of images.

    Args:
        model: A float32 network with one input, uint8 pixels 0..255.
        output_names: A name for each output.
        data_format: Order of the axes that the Keras network reads.

    Returns:
        The ``onnx.ModelProto``.

    Raises:
        EngineError: A package is missing, or ONNX does not know a layer.
    """
    try:
        import onnx
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise EngineError(MISSING) from error
    network = _converted(model, data_format)
    _name_ends(network, output_names)
    _replace_erfc(network)
    del network.metadata_props[:]
    network.doc_string = ""
    try:
        onnx.checker.check_model(network, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise _refusal(model, error) from error
    return network


def _converted(model: keras.Model, data_format: DataFormat) -> Any:
    import tf2onnx

    first = data_format == "channels_first"
    channels, height, width = model.input_shape[1:]
    if not first:
        height, width, channels = model.input_shape[1:]

    def answer(image: tf.Tensor) -> Any:
        return model(tf.transpose(image, (0, 3, 1, 2)) if first else image, training=False)

    call = tf.function(answer, autograph=False, jit_compile=False)
    signature = [tf.TensorSpec((None, height, width, channels), tf.uint8, name=INPUT_NAME)]
    try:
        # The converter reports what is mended below.
        with _functions_in_place(), silenced_stderr(), silenced_logger("tf2onnx"):
            network, _ = tf2onnx.convert.from_function(call, signature, opset=OPSET)
    except Exception as error:  # the converter raises whatever its stages raise
        raise _refusal(model, error) from error
    return network


def _refusal(model: keras.Model, error: Exception) -> EngineError:
    return EngineError(
        f"The network {model.name!r} cannot be written as ONNX ({in_one_line(error)})."
    )


@contextmanager
def _functions_in_place() -> Iterator[None]:
    """Trace inner functions in place: Keras makes one of a grouped convolution, for XLA alone."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _name_ends(network: Any, output_names: Sequence[str]) -> None:
    """Call input, outputs and batch by their names, which the converter makes up."""
    graph = network.graph
    made_up = [graph.input[0].name, *(value.name for value in graph.output)]
    names = dict(zip(made_up, [INPUT_NAME, *output_names], strict=True))
    for node in graph.node:
        for ends in (node.input, node.output):
            for index, name in enumerate(ends):
                ends[index] = names.get(name, name)
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del graph.value_info[:]


def _replace_erfc(network: Any) -> None:
    """Write ``1 - Erf(x)``: TensorFlow computes GELU with Erfc, which ONNX lacks."""
    import numpy as np
    import onnx

    graph = network.graph
    found = [node for node in graph.node if node.op_type == "Erfc"]
    if not found:
        return
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, np.float32), "erfc_one"))
    for number, node in enumerate(found):
        place = list(graph.node).index(node)
        erf = f"erf_{number}"
        graph.node.remove(node)
        graph.node.insert(place, onnx.helper.make_node("Erf", [node.input[0]], [erf]))
        less = onnx.helper.make_node("Sub", ["erfc_one", erf], [node.output[0]])
        graph.node.insert(place + 1, less)
