"""The formats that a classifier can be exported to; light, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imgclf.errors import ArgumentError

__all__ = [
    "FORMATS", "FormatName", "FormatSpec", "Quantization", "require_format", "tolerance_of",
]  # fmt: skip

FormatName = Literal["litert", "onnx", "openvino", "savedmodel", "keras", "web", "imgclf"]
Quantization = Literal["none", "float16", "dynamic", "int8"]


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """What is known of a format before anything is exported.

    Attributes:
        suffix: Of the file's name; empty for a folder.
        quantizations: What it can be asked for.
        extra: The extra of imgclf that it needs; empty for none.
        summary: What it is for, as a clause.
    """

    suffix: str
    quantizations: tuple[Quantization, ...]
    extra: str
    summary: str


FORMATS: dict[FormatName, FormatSpec] = {
    "litert": FormatSpec(
        ".tflite", ("none", "float16", "dynamic", "int8"), "", "phones and small machines"
    ),
    "onnx": FormatSpec(".onnx", ("none", "dynamic"), "onnx", "ONNX Runtime, in most languages"),
    "openvino": FormatSpec(".xml", ("none", "float16"), "openvino", "Intel's processors"),
    "savedmodel": FormatSpec("", ("none",), "", "TensorFlow Serving"),
    "keras": FormatSpec(".keras", ("none",), "", "Keras, without imgclf"),
    "web": FormatSpec(
        ".html", ("none", "float16", "dynamic"), "", "a page for any browser, offline, on a phone"
    ),
    "imgclf": FormatSpec(".imgclf", ("none",), "", "imgclf, in the newest format of its file"),
}

AGREEMENT = {"none": 1.0, "float16": 0.99, "dynamic": 0.97, "int8": 0.97}
"""Share of the images whose label has to stay the same."""

LARGEST_DIFFERENCE = 3e-5
"""Of a probability, where nothing is quantized: on photos, Keras and LiteRT differ by 1e-5."""


def require_format(name: str, quantize: str) -> FormatSpec:
    """Return a format that can be quantized in this way.

    Args:
        name: A key of `FORMATS`.
        quantize: ``"none"`` or a way to quantize.

    Returns:
        The format.

    Raises:
        ArgumentError: There is none.
    """
    spec = FORMATS.get(name)  # type: ignore[call-overload]
    if spec is None:
        raise ArgumentError(f"format={name!r} is not accepted: give one of {', '.join(FORMATS)}.")
    if quantize not in spec.quantizations:
        raise ArgumentError(
            f"quantize={quantize!r} is not accepted for the format {name!r}: give one of "
            f"{', '.join(spec.quantizations)}."
        )
    return spec  # type: ignore[no-any-return]


def tolerance_of(quantize: Quantization) -> tuple[float, float | None]:
    """Return the least share of equal labels, and the largest difference of a probability."""
    return AGREEMENT[quantize], LARGEST_DIFFERENCE if quantize == "none" else None
