"""Building a network by its name."""

from __future__ import annotations

import random
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from imgclf.arguments import plain_number, whole_number
from imgclf.errors import ArgumentError, ContractError, ImgclfError, in_one_line
from imgclf.machine.forked import require_own_threads
from imgclf.machine.keras_backend import require_tensorflow
from imgclf.machine.startup import without_notes
from imgclf.options import resolve_options, without_weights
from imgclf.zoo.activations import MAX_ACTIVATION_BYTES, activation_bytes
from imgclf.zoo.contract import automatic_names, check_contract, name_counts
from imgclf.zoo.provenance import identify_weights
from imgclf.zoo.registry import blaming, load_architecture, place_of_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import keras
    from numpy.typing import NDArray

    from imgclf.data.pixels.input_policy import InputPolicy
    from imgclf.options import Value
    from imgclf.zoo.provenance import WeightsFile
    from imgclf.zoo.registry import Architecture

__all__ = [
    "Origin",
    "build_model",
    "build_unloaded",
    "named_weights",
    "origin_of",
    "rebuild_model",
    "smallest_side",
]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a model was built from.

    Attributes:
        architecture: The architecture, with where it came from.
        options: A value for each of its options.
        weights_files: The file that its first weights were read from, for each option that named
            one.
    """

    architecture: Architecture
    options: Mapping[str, Value]
    weights_files: Mapping[str, WeightsFile]


_origins: weakref.WeakKeyDictionary[Any, Origin] = weakref.WeakKeyDictionary()
"""Remembers each living model's origin, so that a classifier can record it."""

LARGEST_PROBED_SIDE = 512
"""Where the search for the smallest image size that works gives up."""


def build_model(
    architecture: str | Callable[..., keras.Model],
    input_shape: tuple[int, int, int],
    num_classes: int = 2,
    *,
    data_format: Literal["channels_last", "channels_first"] = "channels_last",
    seed: int | None = None,
    **options: Value,
) -> keras.Model:
    """Build a network by the name of its architecture.

    The model is an ordinary uncompiled float32 `keras.Model` that reads raw pixels 0..255 (the
    rescaling is inside). Its output is ``(batch, 1)``, the probability of the second class, for
    two classes and ``(batch, num_classes)`` for more.

    Args:
        architecture: An installed name, one of `imgclf.list_architectures`, or an architecture
            function itself.
        input_shape: ``(height, width, channels)``, or ``(channels, height, width)`` with
            ``data_format="channels_first"``; 1 or 3 channels.
        num_classes: 2 or more.
        data_format: Order of the axes of `input_shape`. With ``"channels_first"`` the network
            turns the axes itself: convolutions of TensorFlow on a CPU work on channels-last data.
        seed: Makes the initial weights reproducible; None draws new ones each time.
        **options: The architecture's own options; see `imgclf.describe_architecture`.

    Returns:
        The network.

    Raises:
        UnknownArchitectureError: No installed package declares the name.
        OptionError: An option is unknown or out of its bounds.
        ArgumentError: `input_shape` or `num_classes` is not accepted, or the image is too small
            for the network (the message names the smallest size that works) or too large for any
            machine.
        ContractError: The architecture returned something that imgclf cannot train.
        BackendError: Keras runs on a backend other than TensorFlow.
        WeightsError: Pretrained weights cannot be fetched or read.

    Example:
        >>> import imgclf
        >>> model = imgclf.build_model("three_conv", (64, 64, 3), num_classes=4, filters=16)
        >>> model.output_shape
        (None, 4)
    """
    return _build_model(architecture, input_shape, num_classes, data_format, seed, options, None)


def build_unloaded(
    architecture: str | Callable[..., keras.Model],
    input_shape: tuple[int, int, int],
    num_classes: int = 2,
    *,
    data_format: Literal["channels_last", "channels_first"] = "channels_last",
    seed: int | None = None,
    options: Mapping[str, Value],
    weights_files: Mapping[str, WeightsFile] | None = None,
) -> keras.Model:
    """Build a network whose weights come from elsewhere: nothing pretrained is fetched or read.

    Args:
        architecture: As for `build_model`.
        input_shape: As for `build_model`.
        num_classes: 2 or more.
        data_format: Order of the axes of `input_shape`.
        seed: Decides the initial weights.
        options: The architecture's options; they are remembered as given.
        weights_files: What is known of the files that `options` name; it is remembered too.

    Returns:
        The network, with random weights.
    """
    known = weights_files or {}
    return _build_model(architecture, input_shape, num_classes, data_format, seed, options, known)


def _build_model(
    architecture: str | Callable[..., keras.Model],
    input_shape: tuple[int, int, int],
    num_classes: int,
    data_format: Literal["channels_last", "channels_first"],
    seed: int | None,
    options: Mapping[str, Value],
    weights_files: Mapping[str, WeightsFile] | None,
    *,
    helpful: bool = True,
) -> keras.Model:
    """Build a network; without `weights_files`, the files that its options name are read.

    Where images are too small, a helpful build finds out which size would do, by many builds.
    """
    loaded = load_architecture(architecture)
    values = resolve_options(loaded.name, loaded.options, options)
    shape = _channels_last(input_shape, data_format)
    num_classes = whole_number("num_classes", num_classes, 2)
    if weights_files is None:
        used, weights_files = values, identify_weights(loaded.options, values)
    else:
        used = without_weights(loaded.options, values)
    with _default_keras(), _seeded(seed), blaming(loaded.registration):
        counts = name_counts()
        model = _build(loaded, shape, num_classes, used, helpful=helpful)
        check_contract(model, loaded.name, shape, num_classes, automatic_names(counts))
        _refuse_too_large(model, loaded.name, shape)
        if data_format == "channels_first":
            model = _turn_axes(model, input_shape)
    _origins[model] = Origin(loaded, values, weights_files)
    return model


def smallest_side(architecture: str | Callable[..., keras.Model], **options: Value) -> int | None:
    """Find the smallest square image, in pixels a side, for which an architecture builds.

    Args:
        architecture: An installed name or an architecture function.
        **options: The architecture's own options.

    Returns:
        The side; None where the architecture builds for no side up to 512.

    Example:
        >>> smallest_side("three_conv", filters=8)
        22
    """
    loaded = load_architecture(architecture)
    values = resolve_options(loaded.name, loaded.options, options)
    values = without_weights(loaded.options, values)

    def build(side: int) -> None:
        _refuse_empty_maps(loaded.function((side, side, 3), 2, **values))

    with _default_keras(), _seeded(0):
        return 1 if _builds(build, 1) else _smallest_side(build, 1)


def origin_of(model: keras.Model) -> Origin | None:
    """Tell which architecture and options a model was built from; None if not by imgclf."""
    return _origins.get(model)


def rebuild_model(
    architecture: str | Callable[..., keras.Model],
    policy: InputPolicy,
    num_classes: int,
    options: Mapping[str, Value],
    tensors: Mapping[str, NDArray[Any]],
    weights_files: Mapping[str, WeightsFile] | None = None,
) -> keras.Model:
    """Build a network and give it stored weights; nothing is allocated before all shapes agree.

    Args:
        architecture: An installed name or an architecture function.
        policy: Gives the input shape and the order of its axes.
        num_classes: 2 or more.
        options: All options of the architecture.
        tensors: Weights by the names of `named_weights`.
        weights_files: What is known of the files that `options` name.

    Returns:
        The network with these weights.

    Raises:
        ArgumentError: Names, shapes or types of `tensors` are not those of the network, or it is
            too large.
    """
    import keras

    # Inside the scope Keras only notes its variables; they are allocated when it ends.
    with keras.StatelessScope(), _allocating_nothing_on_failure():
        model = _build_model(
            architecture,
            policy.input_shape,
            num_classes,
            policy.data_format,
            None,
            options,
            weights_files or {},
            helpful=False,
        )
        variables = named_weights(model)
        difference = _difference(variables, tensors)
        if difference:
            raise ArgumentError(f"The weights do not fit the network: {difference}.")
        for name, variable in variables.items():
            # The value that Keras would draw at random comes from the file instead.
            variable._initializer = _constant(tensors[name])  # noqa: SLF001
    return model


@contextmanager
def _allocating_nothing_on_failure() -> Iterator[None]:
    """Make Keras forget the variables of a network that is not going to be.

    It would allocate them when the scope ends, whatever had happened inside: gigabytes, where a
    file asks for them.
    """
    from keras.src.backend.common import global_state

    def waiting() -> list[Any]:
        found: list[Any] = global_state.get_global_attribute("uninitialized_variables") or []
        return found

    before = len(waiting())
    try:
        yield
    except BaseException:
        del waiting()[before:]
        raise


def named_weights(model: keras.Model) -> dict[str, Any]:
    """Return a network's variables under names that are the same in every build.

    Args:
        model: A network that fulfils the contract: every layer with weights has a name.

    Returns:
        ``{"layer/variable": variable}``, without the state of optimizer, metrics and dropout.

    Raises:
        ContractError: Two variables have one name.
    """
    named = {variable.path: variable for variable in model.weights}
    if len(named) != len(model.weights):
        raise ContractError(f"Architecture {model.name!r} has two layers of the same name.")
    return named


def _constant(value: NDArray[Any]) -> Callable[..., Any]:
    return lambda _shape, dtype=None: value  # noqa: ARG005 - how Keras calls initializers


def _difference(variables: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    """Name the first difference between a network's variables and stored tensors."""
    for name, variable in variables.items():
        if name not in tensors:
            return f"{name} is missing"
        wanted, found = tuple(variable.shape), tensors[name].shape
        if wanted != found or tensors[name].dtype.name != variable.dtype:
            return f"{name} is {tensors[name].dtype} {found}, not {variable.dtype} {wanted}"
    surplus = sorted(set(tensors) - set(variables))
    return f"{surplus[0]} is unknown" if surplus else ""


def _channels_last(input_shape: object, data_format: str) -> tuple[int, int, int]:
    """Check `input_shape` and return it as ``(height, width, channels)``."""
    if data_format not in ("channels_last", "channels_first"):
        raise ArgumentError(
            f"data_format={data_format!r} is not accepted: "
            "give 'channels_last' or 'channels_first'."
        )
    first = data_format == "channels_first"
    order = "(channels, height, width)" if first else "(height, width, channels)"
    expected = f"input_shape={input_shape!r} is not accepted: give {order}, with 1 or 3 channels"
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 3:
        raise ArgumentError(f"{expected}.")
    input_shape = tuple(plain_number(side) for side in input_shape)
    if not all(type(side) is int and side > 0 for side in input_shape):
        raise ArgumentError(f"{expected} and whole numbers of pixels.")
    channels = input_shape[0] if first else input_shape[2]
    if channels not in (1, 3):
        other = "channels_last" if first else "channels_first"
        swapped = input_shape[2] if first else input_shape[0]
        hint = f" (or data_format={other!r})" if swapped in (1, 3) else ""
        raise ArgumentError(f"{expected}{hint}.")
    height, width = input_shape[1:] if first else input_shape[:2]
    return (height, width, channels)


@contextmanager
def _default_keras() -> Iterator[None]:
    """Build under Keras' own defaults, whatever the user's configuration says."""
    with without_notes():
        import keras

    require_tensorflow()
    require_own_threads()
    floatx, data_format = keras.config.floatx(), keras.config.image_data_format()
    policy = keras.config.dtype_policy()
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_image_data_format(data_format)
        keras.config.set_dtype_policy(policy)


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Seed what Keras draws the seeds of its initializers and dropouts from: `random`."""
    if seed is None:
        yield
        return
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _build(
    architecture: Architecture,
    shape: tuple[int, int, int],
    num_classes: int,
    options: Mapping[str, Value],
    *,
    helpful: bool,
) -> keras.Model:
    """Call the architecture; tell a picture that is too small from other failures."""

    def call(sides: tuple[int, ...], values: Mapping[str, Value]) -> keras.Model:
        model = architecture.function((*sides, shape[2]), num_classes, **values)
        _refuse_empty_maps(model)
        return model

    def probe(side: int) -> keras.Model:
        return call((side, side), without_weights(architecture.options, options))

    try:
        return call(shape[:2], options)
    except ImgclfError:
        raise
    except Exception as error:
        smallest = _smallest_side(probe, min(shape[:2])) if helpful else None
        if smallest is None:
            raise ContractError(
                f"Architecture {architecture.name!r} failed to build for input_shape={shape} "
                f"({in_one_line(error)}{place_of_error(error, architecture.function)})."
            ) from error
        raise ArgumentError(
            f"Images of {shape[0]} x {shape[1]} pixels are too small for {architecture.name!r}: "
            f"it needs at least {smallest} x {smallest}."
        ) from error


def _refuse_too_large(model: keras.Model, name: str, shape: tuple[int, int, int]) -> None:
    needed = activation_bytes(model)
    if needed > MAX_ACTIVATION_BYTES:
        raise ArgumentError(
            f"Images of {shape[0]} x {shape[1]} pixels are too large for {name!r}: one of its "
            f"layers takes {needed / 1e9:,.1f} GB for an image, more than "
            f"{MAX_ACTIVATION_BYTES / 1e9:.1f} GB."
        )


def _refuse_empty_maps(model: Any) -> None:
    """Raise where a layer's output has no pixel left; Keras itself accepts that in places."""
    for layer in getattr(model, "layers", []):
        # A layer without one output (several, none yet, or used twice) has no such attribute.
        if 0 in getattr(getattr(layer, "output", None), "shape", ()):
            raise ValueError(f"layer {layer.name!r} has an empty output")


def _smallest_side(build: Callable[[int], object], side: int) -> int | None:
    """Find the smallest square that builds, above `side`; None where size is not the cause."""
    if _builds(build, side):  # the square works: not the size is at fault but the shape
        return None
    low, high = side, 2 * side
    while high < LARGEST_PROBED_SIDE and not _builds(build, high):
        low, high = high, 2 * high
    if not _builds(build, high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _builds(build, middle) else (middle, high)
    return high


def _builds(build: Callable[[int], object], side: int) -> bool:
    try:
        build(side)
    except Exception:  # noqa: BLE001 - any failure means the same here: this size does not work
        return False
    return True


def _turn_axes(model: keras.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    """Put ``channels_first`` pixels in front of a channels-last network."""
    import keras

    image = keras.Input(input_shape, dtype="uint8", name="image")
    turned = keras.layers.Permute((2, 3, 1), name="channels_last")(image)
    # `call`, unlike `__call__`, replays the layers one by one: the result stays flat.
    return keras.Model(image, model.call(turned), name=model.name)
