"""How much memory a network takes for one image, estimated before it is run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import keras

__all__ = ["MAX_ACTIVATION_BYTES", "activation_bytes"]

MAX_ACTIVATION_BYTES = 768 * 1024**2
"""Most that one layer may take for one image, by `activation_bytes`.

At its default options every network of the zoo stays below at 768 x 768 pixels, most do at
2048 x 2048. TensorFlow takes up to three times as much, as it holds the values of several layers.
"""

BYTES_PER_VALUE = 4


def activation_bytes(model: keras.Model) -> int:
    """Estimate the memory for one image's values in the layer that takes most.

    A layer holds what it reads and what it gives. A convolution in groups also holds its windows,
    laid out side by side: on a CPU, TensorFlow computes it as one product of matrices.

    Args:
        model: A functional (or Sequential) network; its weights need not exist.

    Returns:
        Bytes.

    Example:
        >>> import imgclf
        >>> model = imgclf.build_model("three_conv", (32, 32, 3), filters=8)
        >>> activation_bytes(model)
        57600
    """
    layers = model._flatten_layers(include_self=False)  # noqa: SLF001 - reaches nested models
    return max((_layer_bytes(layer) for layer in layers), default=0)


def _layer_bytes(layer: Any) -> int:
    """Return what a layer takes where it takes most; it may stand in several places."""
    return max(
        (
            _bytes_of((*node.input_tensors, *node.output_tensors))
            + _window_bytes(layer, node.output_tensors)
            for node in layer._inbound_nodes  # noqa: SLF001 - the only record of all places
        ),
        default=0,
    )


def _window_bytes(layer: Any, outputs: Iterable[Any]) -> int:
    if getattr(layer, "groups", 1) == 1:
        return 0
    channels = layer.kernel.shape[-2] * layer.groups
    window: int = math.prod(layer.kernel_size) * channels
    places = sum(math.prod(_sides(tensor)[:-1]) for tensor in outputs)
    return BYTES_PER_VALUE * window * places


def _bytes_of(tensors: Iterable[Any]) -> int:
    return sum(BYTES_PER_VALUE * math.prod(_sides(tensor)) for tensor in tensors)


def _sides(tensor: Any) -> list[int]:
    """Return the shape of one image's values; a side that is not known yet counts as one."""
    return [side or 1 for side in tensor.shape[1:]]
