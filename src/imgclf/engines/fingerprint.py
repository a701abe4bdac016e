"""The fingerprint of a Keras network: a hash of all that decides what it computes."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

__all__ = ["network_fingerprint"]


def network_fingerprint(model: keras.Model) -> str:
    """Hash a network's layers, how they are joined, its outputs and its weights.

    Names, which change between builds, do not count.

    Args:
        model: A functional network.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> import imgclf
        >>> one, same = (imgclf.build_model("three_conv", (32, 32, 3), seed=1) for _ in range(2))
        >>> network_fingerprint(one) == network_fingerprint(same)
        True
    """
    digest = hashlib.sha256()
    places: dict[tuple[int, int], int] = {}
    ends = [_place(tensor, places, digest) for tensor in model.outputs]
    digest.update(json.dumps(ends).encode())
    return digest.hexdigest()


def _place(tensor: Any, places: dict[tuple[int, int], int], digest: Any) -> tuple[int, int]:
    """Return the number of a tensor's operation, counted from the image on, and of its output."""
    # Not recursive: networks are deeper than Python's stack.
    waiting = [tensor]
    while waiting:
        operation, node_index, _ = waiting[-1]._keras_history  # noqa: SLF001
        inputs = operation._inbound_nodes[node_index].input_tensors  # noqa: SLF001
        unknown = [one for one in inputs if _key(one) not in places]
        if unknown:
            waiting.extend(unknown)
            continue
        last = waiting.pop()
        if _key(last) not in places:
            places[_key(last)] = len(places)
            _hash(operation, [(places[_key(one)], _output(one)) for one in inputs], digest)
    return places[_key(tensor)], _output(tensor)


def _key(tensor: Any) -> tuple[int, int]:
    operation, node_index, _ = tensor._keras_history  # noqa: SLF001
    return id(operation), node_index


def _output(tensor: Any) -> int:
    return int(tensor._keras_history[2])  # noqa: SLF001


def _hash(operation: Any, inputs: list[tuple[int, int]], digest: Any) -> None:
    config = {
        name: value
        for name, value in operation.get_config().items()
        if name not in ("name", "trainable")
    }
    described = [type(operation).__name__, config, inputs]
    digest.update(json.dumps(described, sort_keys=True, default=str).encode())
    for weight in getattr(operation, "weights", ()):
        value = weight.numpy()
        digest.update(json.dumps([str(value.dtype), value.shape]).encode())
        digest.update(value.tobytes())
