"""How many images a second each engine answers, measured in turn."""

from __future__ import annotations

import importlib.util
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imgclf.classifiers.loader import load
from imgclf.engines.engine_names import EngineName

__all__ = ["EngineSpeed", "installed_engines", "measure_engines"]

BATCH = 32
ROUNDS = 5

ROUND_S = 0.2
"""Least seconds that an engine answers for in each round."""


@dataclass(frozen=True, slots=True)
class EngineSpeed:
    """Images per second of decoded images, medians over the rounds.

    Attributes:
        engine: Name of the engine.
        alone_per_s: One image at a time.
        batched_per_s: 32 images at a time.
    """

    engine: str
    alone_per_s: float
    batched_per_s: float


def installed_engines() -> list[EngineName]:
    """Return the engines whose packages are installed, in the order in which they are shown."""
    needed: dict[EngineName, tuple[str, ...]] = {
        "litert": ("ai_edge_litert",),
        "keras": (),
        "onnx": ("onnxruntime", "tf2onnx"),
        "openvino": ("openvino", "tf2onnx"),
    }
    return [
        engine
        for engine, packages in needed.items()
        if all(importlib.util.find_spec(package) for package in packages)
    ]


def measure_engines(
    file: str | os.PathLike[str], engines: Sequence[EngineName]
) -> tuple[EngineSpeed, ...]:
    """Let engines answer alternately, on noise in the size that the classifier reads.

    Args:
        file: The classifier's file.
        engines: Which to measure.

    Returns:
        One speed for each engine, in order.

    Raises:
        BundleError: The file is damaged.
        EngineError: An engine is not installed, or cannot answer for this classifier.

    Example:
        >>> measure_engines("pets.imgclf", ["litert", "keras"])             # doctest: +SKIP
    """
    classifiers = [load(file, engine=engine) for engine in engines]
    height, width, channels = classifiers[0].policy.pixel_shape
    noise = np.random.default_rng(0).integers(0, 256, (BATCH, height, width, channels), np.uint8)
    found: dict[tuple[int, int], list[float]] = {}
    for _ in range(1 + ROUNDS):
        for place, classifier in enumerate(classifiers):
            for count in (1, BATCH):
                passes, began_s = 0, time.perf_counter()
                while (taken_s := time.perf_counter() - began_s) < ROUND_S or not passes:
                    classifier.predict_pixels([noise[:count]])
                    passes += 1
                found.setdefault((place, count), []).append(passes * count / taken_s)
    # The first round warms up: Keras traces its network, caches are filled.
    medians = {key: statistics.median(values[1:]) for key, values in found.items()}
    return tuple(
        EngineSpeed(engine, medians[place, 1], medians[place, BATCH])
        for place, engine in enumerate(engines)
    )
