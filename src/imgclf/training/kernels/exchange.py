"""The exchange of what layers compute: their `call` method is replaced for a while."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from imgclf.machine.precision import forget_traces

__all__ = ["exchanged_calls"]


@contextmanager
def exchanged_calls(
    model: keras.Model,
    call: Callable[..., Any],
    concerns: Callable[[keras.layers.Layer], bool],
) -> Iterator[None]:
    """Let layers compute in another way for a while; afterwards they are as they were.

    Args:
        model: A built network.
        call: What is called in place of a layer's `call`, with the layer before its arguments.
        concerns: Chooses the layers, nested ones too. One of which the `call` was exchanged by
            somebody else is left alone.
    """
    layers = [
        layer
        for layer in model._flatten_layers(include_self=False)  # noqa: SLF001 - reaches nested ones
        if "call" not in vars(layer) and concerns(layer)
    ]
    try:
        for layer in layers:
            layer.call = functools.partial(call, layer)
        if layers:
            forget_traces(model)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("call", None)
        if layers:
            forget_traces(model)
