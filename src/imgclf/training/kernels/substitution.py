"""Substituting the computation of a network's layers for a while."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from imgclf.machine.precision import forget_traces

__all__ = ["substituted_calls"]


@contextmanager
def substituted_calls(
    model: keras.Model,
    call: Callable[..., Any],
    applies: Callable[[keras.layers.Layer], bool],
) -> Iterator[None]:
    """Replace the `call` of some layers; on exit each layer has its own again.

    Args:
        model: A built network.
        call: Replaces a layer's `call`; takes the layer before the arguments.
        applies: Chooses the layers, nested ones included. A layer whose `call` is replaced
            already is left alone.
    """
    layers = [
        layer
        for layer in model._flatten_layers(include_self=False)  # noqa: SLF001 - reaches nested ones
        if "call" not in vars(layer) and applies(layer)
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
