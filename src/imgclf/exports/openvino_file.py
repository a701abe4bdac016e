"""OpenVINO: an `.xml` file with the network and a `.bin` file with its weights beside it."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgclf.errors import EngineError
from imgclf.exports.onnx_file import write_onnx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgclf.classifiers.record import ClassifierRecord
    from imgclf.exports.formats import Quantization

__all__ = ["write_openvino"]


def write_openvino(
    record: ClassifierRecord,
    target: Path,
    quantize: Quantization,
    metadata: Mapping[str, Any],
) -> None:
    """Write both files, by way of ONNX.

    Args:
        record: The classifier.
        target: The ``.xml`` file.
        quantize: ``"none"``, or ``"float16"`` for weights in 16 bits.
        metadata: Of `metadata_of`; a part of it becomes ``model_info``.

    Raises:
        EngineError: A package is missing, or the network cannot be converted.
    """
    try:
        import openvino
    except ImportError as error:
        raise EngineError(
            "The format openvino needs openvino and onnx: pip install 'imgclf[openvino]'."
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "network.onnx"
        write_onnx(record, plain, "none", metadata)
        network = openvino.convert_model(plain)
        labels = " ".join(name.replace(" ", "_") for name in record.class_names)
        for key, value in {
            "model_type": "Classification",
            "labels": labels,
            "resize_type": metadata["input"]["resize"],
            "metadata": json.dumps(metadata, ensure_ascii=False),
        }.items():
            network.set_rt_info(value, ["model_info", key])
        made = Path(folder) / "network.xml"
        openvino.save_model(network, made, compress_to_fp16=quantize == "float16")
        for suffix in (".bin", ".xml"):  # The network last: it names what has to be there.
            shutil.move(made.with_suffix(suffix), target.with_suffix(suffix))
