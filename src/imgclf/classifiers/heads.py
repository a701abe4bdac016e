"""Whether a network answers probabilities, told by its last layer."""

from __future__ import annotations

from typing import Any

import keras

from imgclf.errors import ArgumentError

__all__ = ["require_network", "require_probabilities"]


def require_network(model: Any) -> None:
    """Require a network of one input and one output.

    Raises:
        ArgumentError: It is another one, or none.
    """
    if not isinstance(model, keras.Model):
        raise ArgumentError(f"{type(model).__name__} is no network: give a keras.Model.")
    for what in ("inputs", "outputs"):
        tensors = getattr(model, what, None)
        if not isinstance(tensors, list) or len(tensors) != 1:
            raise ArgumentError(
                f"The model {model.name!r} is no functional (or Sequential) keras.Model with one "
                f"of its {what}: a classifier needs one."
            )


def require_probabilities(model: keras.Model, num_classes: int) -> None:
    """Require a network that ends in a sigmoid or a softmax.

    Args:
        model: A network with one output.
        num_classes: 2 or more; two need a sigmoid of one unit, more a softmax.

    Raises:
        ArgumentError: It ends in something else, whose outputs are no probabilities.
    """
    wanted = "sigmoid" if num_classes == 2 else "softmax"
    layer = _last_layer(model)
    found = _activation(layer)
    if found != wanted:
        raise ArgumentError(
            f"The model ends in the layer {layer.name!r} with {found}, whose outputs are no "
            f"probabilities: {num_classes} classes need a {wanted}, as in "
            f"keras.layers.Dense({1 if num_classes == 2 else num_classes}, "
            f"activation={wanted!r}, name='head')."
        )


def _last_layer(model: keras.Model) -> Any:
    """Return what makes the output, inside nested networks too."""
    layer = model.outputs[0]._keras_history.operation  # noqa: SLF001 - no public way
    return _last_layer(layer) if isinstance(layer, keras.Model) else layer


def _activation(layer: Any) -> str:
    """Name the activation of a layer; that of a layer of another kind is its class's name."""
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    activation = getattr(layer, "activation", None)
    if activation is None:
        return type(layer).__name__.lower()  # Operations of `keras.ops` are classes, too.
    return str(getattr(activation, "__name__", type(activation).__name__))
