"""LiteRT: one `.tflite` file, with its metadata in a ZIP behind it and the labels beside it."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from imgclf.atomic import write_atomically, write_text_atomically
from imgclf.engines.litert_conversion import convert_to_litert
from imgclf.exports.export_model import export_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from imgclf.classifiers.record import ClassifierRecord
    from imgclf.exports.formats import Quantization

__all__ = ["LABELS_NAME", "convert_export", "quantizer", "write_litert"]

LABELS_NAME = "labels.txt"


def write_litert(
    record: ClassifierRecord,
    target: Path,
    quantize: Quantization,
    calibration: NDArray[np.uint8],
    metadata: Mapping[str, Any],
) -> None:
    """Write the file, and ``NAME.labels.txt`` with a class a line beside it.

    Args:
        record: The classifier.
        target: The file.
        quantize: Whether, and how, weights and activations are quantized.
        calibration: uint8 ``(num_images, height, width, channels)``, training images from which
            ``"int8"`` learns the range of each activation.
        metadata: Of `metadata_of`; a ZIP behind the network, which its readers pass over.

    Raises:
        EngineError: LiteRT does not know a layer.
    """
    content = convert_export(record, quantize, calibration)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in (
            ("metadata.json", json.dumps(metadata, indent=1, ensure_ascii=False)),
            (LABELS_NAME, _labels(record)),
        ):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    write_atomically(target, content + packed.getvalue())
    write_text_atomically(target.with_suffix(f".{LABELS_NAME}"), _labels(record))


def convert_export(
    record: ClassifierRecord, quantize: Quantization, calibration: NDArray[np.uint8]
) -> bytes:
    """Convert a classifier's export network; see `write_litert`.

    Args:
        record: The classifier.
        quantize: As for `write_litert`.
        calibration: As for `write_litert`.

    Returns:
        The network.
    """
    return convert_to_litert(export_model(record), configure=quantizer(quantize, calibration))


def quantizer(
    quantize: Quantization, calibration: Iterable[NDArray[np.uint8]] = ()
) -> Callable[[Any], None] | None:
    """Return what sets a converter up; None where nothing is quantized.

    Args:
        quantize: As for `write_litert`.
        calibration: As for `write_litert`.

    Returns:
        For `imgclf.engines.litert_conversion.convert_to_litert`.
    """
    if quantize == "none":
        return None

    def configure(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantize == "int8":
            converter.representative_dataset = images
            converter.target_spec.supported_ops = [
                tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
                tf.lite.OpsSet.TFLITE_BUILTINS,  # the cast from uint8, and the softmax in float32
            ]

    def images() -> Iterator[list[NDArray[np.uint8]]]:
        for image in calibration:
            yield [image[None]]

    return configure


def _labels(record: ClassifierRecord) -> str:
    return "".join(f"{name}\n" for name in record.class_names)
