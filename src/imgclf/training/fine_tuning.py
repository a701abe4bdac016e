"""What stays as it is while a pretrained network is fine-tuned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

__all__ = ["fine_tuning"]

FINE_TUNED_STRIDE = 8
"""Sides of the image over those of the first maps whose convolutions are fine-tuned.

Those before, which see edges and colours, take a fifth of the time of a step of EfficientNet-Lite
and change hardly anything: see `docs/performance.md`.
"""


@contextmanager
def fine_tuning(model: keras.Model) -> Iterator[None]:
    """Keep the first convolutions and all batch normalisations of a network for a while.

    Batch normalisation stays in inference mode, because its averages over many images are better
    than those over a few (Keras' guide "Transfer learning and fine-tuning"). Convolutions are kept
    up to the first map with an eighth of the image's sides; where no map is known to be as small as
    that, all are fine-tuned.

    Args:
        model: The network, or its part up to the features.
    """
    layers = list(model._flatten_layers(include_self=False))  # noqa: SLF001 - nested ones too
    kept = [
        *(one for one in layers if isinstance(one, keras.layers.BatchNormalization)),
        *_first_convolutions(layers),
    ]
    before = [layer.trainable for layer in kept]
    for layer in kept:
        layer.trainable = False
    try:
        yield
    finally:
        for layer, trainable in zip(kept, before, strict=True):
            layer.trainable = trainable


def _first_convolutions(layers: Sequence[Any]) -> list[Any]:
    """Return the convolutions in front of the first that gives small maps; none without such."""
    heights = {id(layer): _map_height(layer) for layer in layers}
    small = math.ceil(max(heights.values(), default=0) / FINE_TUNED_STRIDE)
    convolutions = [one for one in layers if hasattr(one, "kernel") and heights[id(one)]]
    for place, layer in enumerate(convolutions):
        if heights[id(layer)] <= small:
            return convolutions[:place]
    return []


def _map_height(layer: Any) -> int:
    """Return the height of a layer's maps, in pixels; 0 where it has none or they are not known."""
    nodes = layer._inbound_nodes  # noqa: SLF001 - empty within layers that call others
    output = nodes[-1].output_tensors[0] if nodes else None
    if output is None or len(output.shape) != 4:
        return 0
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    return output.shape[2 if channels_first else 1] or 0
