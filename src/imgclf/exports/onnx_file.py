"""ONNX: one file for ONNX Runtime and whatever else reads the format."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from imgclf.atomic import write_atomically
from imgclf.errors import EngineError, in_one_line
from imgclf.exports.export_model import INPUT_NAME, OUTPUT_NAME, export_model
from imgclf.machine.startup import silenced_logger, silenced_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import keras

    from imgclf.classifiers.record import ClassifierRecord
    from imgclf.exports.formats import Quantization

__all__ = ["write_onnx"]

OPSET = 18
"""Of 2023: every runtime of the last years reads it."""

MISSING = "The format onnx needs onnx, tf2onnx and onnxruntime: pip install 'imgclf[onnx]'."


def write_onnx(
    record: ClassifierRecord,
    target: Path,
    quantize: Quantization,
    metadata: Mapping[str, Any],
) -> None:
    """Write the file; onnx's own checker has passed it.

    Args:
        record: The classifier.
        target: The file.
        quantize: ``"none"``, or ``"dynamic"`` for weights in 8 bits.
        metadata: Of `metadata_of`; each value is a property, as text.

    Raises:
        EngineError: A package is missing, or ONNX does not know a layer.
    """
    try:
        import onnx
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise EngineError(MISSING) from error
    network = _converted(export_model(record))
    _name_ends(network)
    _replace_erfc(network)
    del network.metadata_props[:]
    onnx.helper.set_model_props(network, {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in metadata.items()
    })  # fmt: skip
    network.producer_name, network.producer_version = "imgclf", str(metadata["version"])
    network.doc_string = ""
    try:
        onnx.checker.check_model(network, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise EngineError(
            f"The network {record.model.name!r} cannot be written as ONNX ({in_one_line(error)})."
        ) from error
    content = network.SerializeToString()
    write_atomically(target, content if quantize == "none" else _quantized(content))


def _converted(model: keras.Model) -> Any:
    import tf2onnx

    shape = (None, *model.input_shape[1:])

    def answer(image: tf.Tensor) -> tf.Tensor:
        return model(image, training=False)

    call = tf.function(answer, autograph=False, jit_compile=False)
    signature = [tf.TensorSpec(shape, tf.uint8, name=INPUT_NAME)]
    try:
        # The converter reports what is mended below.
        with _functions_in_place(), silenced_stderr(), silenced_logger("tf2onnx"):
            network, _ = tf2onnx.convert.from_function(call, signature, opset=OPSET)
    except Exception as error:  # the converter raises whatever its stages raise
        raise EngineError(
            f"The network {model.name!r} cannot be written as ONNX ({in_one_line(error)})."
        ) from error
    return network


@contextmanager
def _functions_in_place() -> Iterator[None]:
    """Trace inner functions in place: Keras makes one of a grouped convolution, for XLA alone."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _name_ends(network: Any) -> None:
    """Call input, output and batch by their names, which the converter makes up."""
    graph = network.graph
    names = {graph.input[0].name: INPUT_NAME, graph.output[0].name: OUTPUT_NAME}
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


def _quantized(content: bytes) -> bytes:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "small.onnx"
        plain.write_bytes(content)
        with silenced_stderr():
            quantize_dynamic(plain, small, weight_type=QuantType.QUInt8)
        return small.read_bytes()
