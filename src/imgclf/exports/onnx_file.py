"""ONNX: one file for ONNX Runtime and whatever else reads the format."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgclf.atomic import write_atomically
from imgclf.engines.onnx_conversion import convert_to_onnx
from imgclf.exports.export_model import OUTPUT_NAME, export_model
from imgclf.machine.startup import silenced_stderr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgclf.classifiers.record import ClassifierRecord
    from imgclf.exports.formats import Quantization

__all__ = ["write_onnx"]


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
    network = convert_to_onnx(export_model(record), [OUTPUT_NAME])
    import onnx

    onnx.helper.set_model_props(network, {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in metadata.items()
    })  # fmt: skip
    network.producer_name, network.producer_version = "imgclf", str(metadata["version"])
    content = network.SerializeToString()
    write_atomically(target, content if quantize == "none" else _quantized(content))


def _quantized(content: bytes) -> bytes:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "small.onnx"
        plain.write_bytes(content)
        with silenced_stderr():
            quantize_dynamic(plain, small, weight_type=QuantType.QUInt8)
        return small.read_bytes()
