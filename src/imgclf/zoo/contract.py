"""The contract of an architecture: what a network must be to be trained, saved and reloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgclf.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import keras

__all__ = ["automatic_names", "check_contract", "find_breaches"]


def check_contract(
    model: Any,
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    automatic: Collection[str] = (),
) -> None:
    """Check a network against the contract.

    Args:
        model: What it returned.
        name: The architecture's name, for the message.
        input_shape: ``(height, width, channels)`` that was asked for.
        num_classes: The number of classes that was asked for.
        automatic: Names of layers that Keras gave while the network was built.

    Raises:
        ContractError: All breaches, with the layers at fault.

    Example:
        >>> import imgclf
        >>> model = imgclf.build_model("three_conv", (32, 32, 1), filters=8)
        >>> check_contract(model, "three_conv", (32, 32, 1), 2)
    """
    breaches = list(find_breaches(model, input_shape, num_classes, automatic))
    if len(breaches) == 1:
        raise ContractError(f"Architecture {name!r} {breaches[0]}.")
    if breaches:
        listed = "; ".join(f"({place}) {text}" for place, text in enumerate(breaches, start=1))
        raise ContractError(f"Architecture {name!r} has {len(breaches)} faults: {listed}.")


def name_counts() -> dict[str, int]:
    """Return how many names Keras has given by itself so far, by prefix."""
    from keras.src.backend.common import global_state

    return dict(global_state.get_global_attribute("object_name_uids") or {})


def automatic_names(before: dict[str, int]) -> frozenset[str]:
    """Return the names that Keras has given by itself since `before`.

    Args:
        before: What `name_counts` returned then.

    Returns:
        Such as ``{"dense_4", "dense_5"}``.
    """
    return frozenset(
        f"{prefix}_{number}" if number else prefix
        for prefix, count in name_counts().items()
        for number in range(before.get(prefix, 0), count)
    )


def find_breaches(
    model: Any,
    input_shape: tuple[int, int, int],
    num_classes: int,
    automatic: Collection[str] = (),
) -> Iterator[str]:
    """Find every breach of the contract in a network.

    The contract: an uncompiled float32 functional (or Sequential) model with one uint8 input called
    ``image``, whose first layer rescales (or is its own preprocessing), whose last layer is a
    Dense called ``head`` with a sigmoid or softmax, with a name for every layer that has weights
    and neither augmentation nor Lambda layers inside.

    Args:
        model: What the architecture function returned.
        input_shape: ``(height, width, channels)`` that was asked for.
        num_classes: The number of classes that was asked for.
        automatic: Names of layers that Keras gave while the network was built.

    Yields:
        What is wrong, as the rest of a sentence that begins with the architecture's name.
    """
    fatal = _form_breach(model)
    if fatal:  # Nothing else can be read from such an object.
        yield fatal
        return
    yield from _input_breaches(model, input_shape)
    yield from _head_breaches(model, num_classes)
    yield from _layer_breaches(model, automatic)


def _form_breach(model: Any) -> str | None:
    import keras

    if not isinstance(model, keras.Model):
        return f"returned {type(model).__name__}; return a keras.Model"
    if isinstance(model, keras.Sequential) and not model.built:
        return (
            "returned a Sequential that does not know its images; begin it with "
            "keras.Input(input_shape, dtype='uint8', name='image')"
        )
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
    if image.dtype != "uint8":
        yield (
            f"reads {image.dtype} images; pixels are whole numbers of 0..255: "
            "keras.Input(input_shape, dtype='uint8', name='image')"
        )
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


def _layer_breaches(model: keras.Model, automatic: Collection[str]) -> Iterator[str]:
    import keras

    augmentations = tuple(
        layer
        for name, layer in vars(keras.layers).items()
        if name.startswith(("Random", "Aug")) or name in ("CutMix", "MixUp")
    )
    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - reaches nested models
        if isinstance(layer, keras.layers.Lambda):
            yield f"has the Lambda layer {_place(layer)!r}, which no file can hold safely"
        if isinstance(layer, augmentations):
            yield (
                f"has the augmentation layer {_place(layer)!r}; augmentation belongs to the batches"
            )
        if layer.weights and layer.dtype_policy.name != "float32":
            yield f"has the layer {_place(layer)!r} in {layer.dtype_policy.name}; use float32"
    nameless = [
        _place(layer)
        for layer in model._flatten_layers(include_self=False)  # noqa: SLF001
        if layer.weights and layer.name in automatic
    ]
    if nameless:
        yield (
            f"has {'the layer' if len(nameless) == 1 else 'the layers'} "
            f"{', '.join(map(repr, nameless))} with an automatic name, which changes from build to "
            "build; give every layer with weights a name"
        )


def _place(layer: Any) -> str:
    """Return where a layer lies, as in ``block0/dense_9``: what its weights are called after."""
    first = layer.weights[0].path if layer.weights else ""
    parts = first.split("/")
    if layer.name not in parts:
        return str(layer.name)
    return "/".join(parts[: len(parts) - parts[::-1].index(layer.name)])


def _convolutions() -> tuple[type, ...]:
    import keras

    return tuple(layer for name, layer in vars(keras.layers).items() if "Conv" in name)


def _is_input(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.InputLayer)
