"""What a network makes of an image before its last layer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

__all__ = ["feature_tensors"]


def feature_tensors(model: keras.Model) -> list[keras.KerasTensor]:
    """Find the last map of each size, from the image on, and what the head reads.

    Args:
        model: A functional (or Sequential) network with one input and one output.

    Returns:
        Maps ``(batch, height, width, features)``, the largest first, then the input of the last
        layer, ``(batch, features)``; what a network does not have is not there.
    """
    maps: dict[tuple[int, int], keras.KerasTensor] = {}
    vectors: list[keras.KerasTensor] = []
    for tensor in _tensors_before(model.outputs[0]):
        shape = tensor.shape
        if len(shape) == 4 and None not in shape[1:] and shape[1] * shape[2] > 1:
            maps.setdefault((shape[1], shape[2]), tensor)
        elif len(shape) == 2 and not vectors:
            vectors.append(tensor)
    largest_first = sorted(maps, key=lambda size: -size[0] * size[1])
    return [*(maps[size] for size in largest_first), *vectors]


def _tensors_before(output: keras.KerasTensor) -> Iterator[keras.KerasTensor]:
    """Yield what a network computes on the way to its output, nearest to it first."""
    waiting, seen = deque([output]), {id(output)}
    while waiting:
        tensor = waiting.popleft()
        # The tensor's own history: a layer may stand in several networks.
        operation, node_index, _ = tensor._keras_history  # noqa: SLF001
        for earlier in operation._inbound_nodes[node_index].input_tensors:  # noqa: SLF001
            made_by = earlier._keras_history.operation  # noqa: SLF001
            if id(earlier) in seen or _only_prepares(made_by):
                continue
            seen.add(id(earlier))
            waiting.append(earlier)
            yield earlier


def _only_prepares(operation: object) -> bool:
    """Tell whether a layer hands on pixels: the input, its rescaling, its turned axes."""
    return type(operation).__name__ in ("InputLayer", "Rescaling", "Permute", "Normalization")
