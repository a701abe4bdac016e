"""A linear head behind a converted network, without converting the network again.

Converting a backbone takes seconds, a head is two small layers: they are written into the file as
the converter would have written them. Source of the format: `schema.fbs` of TensorFlow Lite.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from imgclf.engines.litert import LiteRtNetwork
from imgclf.errors import EngineError, in_one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HeadActivation", "append_head"]

HeadActivation = Literal["sigmoid", "softmax"]

ALIGNMENT = 16
"""Bytes at a multiple of which the format's weights begin."""

TOLERANCE = 1e-5
"""Largest accepted difference of a probability to what NumPy makes of the features."""

FILE_IDENTIFIER = b"TFL3"


def append_head(
    content: bytes,
    kernel: NDArray[np.float32],
    bias: NDArray[np.float32],
    activation: HeadActivation,
) -> bytes:
    """Put a dense layer behind the last output of a converted network.

    The result is run on images of noise and compared with NumPy before it is returned.

    Args:
        content: What `convert_to_litert` returned, of a network whose last output are features
            ``(batch, features)``.
        kernel: float32 ``(features, units)``.
        bias: float32 ``(units,)``.
        activation: What makes probabilities of the layer's values.

    Returns:
        The content of a ``.tflite`` file. Its first output are the probabilities, then come the
        outputs that there were.

    Raises:
        EngineError: LiteRT or the description of its format is missing, or the network is another.
    """
    try:
        extended = _extended(content, kernel, bias, activation)
    except (ImportError, AttributeError, TypeError, ValueError, IndexError) as error:
        raise EngineError(
            f"A head cannot be put behind the converted network ({in_one_line(error)}): convert "
            "both together."
        ) from error
    _prove(content, extended, kernel, bias, activation)
    return extended


def _extended(
    content: bytes,
    kernel: NDArray[np.float32],
    bias: NDArray[np.float32],
    activation: HeadActivation,
) -> bytes:
    # Written by the schema's compiler, without types.
    schema: Any = importlib.import_module("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = model.subgraphs[0]
    features = graph.outputs[-1]
    num_features, units = kernel.shape
    if list(graph.tensors[features].shape)[1:] != [num_features]:
        raise ValueError("it has other features than the head reads")

    def tensor(name: str, shape: list[int], values: NDArray[np.float32] | None) -> int:
        buffer = schema.BufferT()
        if values is not None:
            buffer.data = np.frombuffer(values.astype("<f4").tobytes(), np.uint8)
        model.buffers.append(buffer)
        made = schema.TensorT(
            name=name.encode(), shape=np.array(shape, np.int32), buffer=len(model.buffers) - 1
        )
        if values is None:  # The number of images is open.
            made.shapeSignature = np.array([-1, *shape[1:]], np.int32)
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def operator(name: str, inputs: list[int], output: int, options: Any) -> None:
        code = schema.OperatorCodeT(builtinCode=getattr(schema.BuiltinOperator, name), version=1)
        code.deprecatedBuiltinCode = code.builtinCode  # Of all that are below 127.
        model.operatorCodes.append(code)
        made = schema.OperatorT(
            opcodeIndex=len(model.operatorCodes) - 1,
            inputs=np.array(inputs, np.int32),
            outputs=np.array([output], np.int32),
        )
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            made.builtinOptions = options
        graph.operators.append(made)

    batch = int(graph.tensors[features].shape[0])
    weights = tensor("head_kernel", [units, num_features], kernel.T)
    offsets = tensor("head_bias", [units], bias)
    values = tensor("head_values", [batch, units], None)
    answers = tensor("head_answers", [batch, units], None)
    operator(
        "FULLY_CONNECTED", [features, weights, offsets], values, schema.FullyConnectedOptionsT()
    )
    if activation == "softmax":
        operator("SOFTMAX", [values], answers, schema.SoftmaxOptionsT(beta=1.0))
    else:
        operator("LOGISTIC", [values], answers, None)
    graph.outputs = np.array([answers, *graph.outputs], np.int32)
    return _packed(model, len(content))


def _packed(model: Any, num_bytes: int) -> bytes:
    """Write the file; weights begin at multiples of 16 bytes, as in those of the converter."""
    flatbuffers: Any = importlib.import_module("flatbuffers")

    class Builder(flatbuffers.Builder):  # type: ignore[misc]
        head: int
        Bytes: bytearray

        def CreateNumpyVector(self, x: NDArray[Any]) -> int:  # noqa: N802 - the library's name
            self.StartVector(x.itemsize, x.size, ALIGNMENT)
            payload = x.astype(x.dtype.newbyteorder("<")).tobytes()
            self.head = self.head - len(payload)
            self.Bytes[self.head : self.head + len(payload)] = payload
            return int(self.EndVector())

    builder = Builder(num_bytes + 2**20)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _prove(
    content: bytes,
    extended: bytes,
    kernel: NDArray[np.float32],
    bias: NDArray[np.float32],
    activation: HeadActivation,
) -> None:
    """Refuse a file that does not run, or answers otherwise than its parts."""
    before, network = LiteRtNetwork(content), LiteRtNetwork(extended)
    images = np.random.default_rng(0).integers(0, 256, (2, *network.image_shape), np.uint8)
    answers, *rest = network(images)
    known = before(images)
    same = all(np.array_equal(ours, theirs) for ours, theirs in zip(rest, known, strict=True))
    values = known[-1].astype(np.float64) @ kernel + bias
    if activation == "softmax":
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        expected = powers / powers.sum(axis=1, keepdims=True)
    else:
        expected = 1 / (1 + np.exp(-values))
    # Written so that NaN, which compares with nothing, is refused as well.
    if not same or not float(np.abs(answers - expected).max()) <= TOLERANCE:
        raise EngineError("The head behind the converted network answers otherwise than it should.")
