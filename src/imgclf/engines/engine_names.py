"""The names of the engines, for those that only pass them on."""

from __future__ import annotations

from typing import Literal

__all__ = ["EngineName"]

EngineName = Literal["auto", "litert", "keras", "onnx", "openvino"]
"""What may execute a classifier's network; ``"auto"`` is LiteRT, and Keras where that cannot."""
