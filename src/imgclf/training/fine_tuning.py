"""What stays as it is while a pretrained network is fine-tuned."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

__all__ = ["FINE_TUNED_STRIDE", "fine_tuning"]

FINE_TUNED_STRIDE = 8
"""Sides of the image over those of the first maps whose convolutions are fine-tuned.

Those before, which see edges and colours, take a fifth of the time of a step of EfficientNet-Lite
and change hardly anything: see `docs/performance.md`.
"""


@contextmanager
def fine_tuning(model: keras.Model) -> Iterator[None]:
    """Keep the first convolutions and all normalisations of a pretrained network for a while.

    Batch normalisation stays in inference mode, because its averages over many images are better
    than those over a few (Keras' guide "Transfer learning and fine-tuning").

    Args:
        model: The network, or its part up to the features.
    """
    kept = [
        (layer, layer.trainable)
        for layer in model._flatten_layers(include_self=False)  # noqa: SLF001 - nested ones too
        if isinstance(layer, keras.layers.BatchNormalization) or _has_large_maps(layer, model)
    ]
    for layer, _ in kept:
        layer.trainable = False
    try:
        yield
    finally:
        for layer, trainable in kept:
            layer.trainable = trainable


def _has_large_maps(layer: Any, model: keras.Model) -> bool:
    """Tell whether a convolution gives maps that are larger than an eighth of the image.

    Nested layers that do not know the size of their maps are fine-tuned.
    """
    if not hasattr(layer, "kernel") or not hasattr(layer, "data_format"):
        return False
    shape = layer.output.shape
    channels_first = layer.data_format == "channels_first"
    sides = shape[2:] if channels_first else shape[1:-1]
    image = model.input_shape[2:] if channels_first else model.input_shape[1:-1]
    return None not in (*sides, *image) and sides[0] > math.ceil(image[0] / FINE_TUNED_STRIDE)
