"""The contract of an architecture: what a network must be to be trained, saved and reloaded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from imgclf.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras

__all__ = ["check_contract", "find_breaches"]


def check_contract(
    model: Any, name: str, input_shape: tuple[int, int, int], num_classes: int
) -> None:
    """Check a network against the contract.

    Args:
        model: What it returned.
        name: The architecture's name, for the message.
        input_shape: ``(height, width, channels)`` that was asked for.
        num_classes: The number of classes that was asked for.

    Raises:
        ContractError: The first breach, with the layer at fault.

    Example:
        >>> import imgclf
        >>> model = imgclf.build_model("three_conv", (32, 32, 1), filters=8)
        >>> check_contract(model, "three_conv", (32, 32, 1), 2)
    """
    for breach in find_breaches(model, input_shape, num_classes):
        raise ContractError(f"Architecture {name!r} {breach}.")


def find_breaches(model: Any, input_shape: tuple[int, int, int], num_classes: int) -> Iterator[str]:
    """Find every breach of the contract in a network.

    The contract: an uncompiled float32 functional (or Sequential) model with one input called
    ``image``, whose first layer rescales (or is its own preprocessing), whose last layer is a
    Dense called ``head`` with a sigmoid or softmax, with a name for every layer that has weights
    and neither augmentation nor Lambda layers inside.

    Args:
        model: What the architecture function returned.
        input_shape: ``(height, width, channels)`` that was asked for.
        num_classes: The number of classes that was asked for.

    Yields:
        What is wrong, as the rest of a sentence that begins with the architecture's name.
    """
    fatal = _form_breach(model)
    if fatal:  # Nothing else can be read from such an object.
        yield fatal
        return
    yield from _input_breaches(model, input_shape)
    yield from _head_breaches(model, num_classes)
    yield from _layer_breaches(model)


def _form_breach(model: Any) -> str | None:
    import keras

    if not isinstance(model, keras.Model):
        return f"returned {type(model).__name__}; return a keras.Model"
    for what in ("inputs", "outputs"):
        tensors = getattr(model, what, None)
        if not isinstance(tensors, list) or len(tensors) != 1:
            return f"must return a functional (or Sequential) keras.Model with one of its {what}"
    return None


def _input_breaches(model: keras.Model, input_shape: tuple[int, int, int]) -> Iterator[str]:
    import keras

    if model.compiled:
        yield "returned a compiled model; leave compiling to fit"
    image = model.inputs[0]
    if image.name != "image":
        yield f"has the input {image.name!r}; name it 'image'"
    if tuple(image.shape[1:]) != tuple(input_shape):
        yield f"reads {tuple(image.shape[1:])}, not the {tuple(input_shape)} asked for"
    learned = (keras.layers.Dense, keras.layers.BatchNormalization, *_convolutions())
    first = next((layer for layer in model.layers if not _is_input(layer)), None)
    if isinstance(first, learned):
        yield (
            f"feeds raw pixels 0..255 to the layer {first.name!r}; begin with a Rescaling layer "
            "or another preprocessing"
        )


def _head_breaches(model: keras.Model, num_classes: int) -> Iterator[str]:
    import keras

    head = model.layers[-1]
    if not isinstance(head, keras.layers.Dense) or head.name != "head":
        yield f"ends in the layer {head.name!r}; end in a Dense layer named 'head'"
        return
    units = 1 if num_classes == 2 else num_classes
    shape = tuple(model.outputs[0].shape[1:])
    if shape != (units,):
        yield (
            f"has the layer 'head' with outputs of shape {shape}; "
            f"{num_classes} classes need ({units},)"
        )
    activation = "sigmoid" if num_classes == 2 else "softmax"
    if head.activation is not keras.activations.get(activation):
        yield f"has the layer 'head' without {activation}, which {num_classes} classes need"


def _layer_breaches(model: keras.Model) -> Iterator[str]:
    import keras

    augmentations = tuple(
        layer
        for name, layer in vars(keras.layers).items()
        if name.startswith(("Random", "Aug")) or name in ("CutMix", "MixUp")
    )
    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - reaches nested models
        if isinstance(layer, keras.layers.Lambda):
            yield f"has the Lambda layer {layer.name!r}, which no file can hold safely"
        if isinstance(layer, augmentations):
            yield (
                f"has the augmentation layer {layer.name!r}; augmentation belongs to the batches"
            )
        if layer.weights and layer.dtype_policy.name != "float32":
            yield f"has the layer {layer.name!r} in {layer.dtype_policy.name}; use float32"
        if layer.weights and _is_auto_named(layer):
            yield (
                f"has the layer {layer.name!r} with an automatic name, which changes from build to "
                "build; give every layer with weights a name"
            )


def _convolutions() -> tuple[type, ...]:
    import keras

    return tuple(layer for name, layer in vars(keras.layers).items() if "Conv" in name)


def _is_input(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.InputLayer)


def _is_auto_named(layer: Any) -> bool:
    """Tell whether a layer carries the name that Keras gives where none is given."""
    words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    automatic = re.sub("([a-z])([A-Z])", r"\1_\2", words).lower()
    return re.fullmatch(rf"{automatic}(_\d+)?", layer.name) is not None
