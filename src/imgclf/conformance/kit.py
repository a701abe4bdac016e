"""The checks of the conformance kit, one function each."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from imgclf.conformance.reload import reload_bundle, save_bundle
from imgclf.errors import ArgumentError, ContractError, in_one_line
from imgclf.options import Choice, Float, Int, Weights, without_weights
from imgclf.training.loop import fit
from imgclf.zoo.builder import build_unloaded, named_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from imgclf.machine.precision import Precision
    from imgclf.options import Option, Value
    from imgclf.zoo.registry import Architecture

__all__ = ["CHECKS", "Subject"]

BATCH = 8
"""Images in the batches that the checks train on and predict."""

OUTPUT_TOLERANCE = 1e-4
"""Largest difference between two outputs that should be the same; the bundle's own."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An architecture under test.

    Attributes:
        architecture: What the caller gave: a name or a function.
        loaded: Its function and options.
        smallest: Side, in pixels, of the smallest square image that builds.
        side: Side, in pixels, at which it is checked.
        network: The network at that side, with three classes and default options; no check
            changes it.
        fresh_process: Whether bundles are reloaded in a process of their own.
    """

    architecture: str | Callable[..., keras.Model]
    loaded: Architecture
    smallest: int
    side: int
    network: keras.Model
    fresh_process: bool

    def build(
        self, num_classes: int = 3, seed: int = 0, options: Mapping[str, Value] | None = None
    ) -> keras.Model:
        """Build the network for colour images of the usual side."""
        return self.build_for((self.side, self.side, 3), num_classes, seed, options)

    def build_for(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        seed: int = 0,
        options: Mapping[str, Value] | None = None,
    ) -> keras.Model:
        """Build the network as `imgclf.build_model` does, which checks the contract.

        Nothing pretrained is fetched: the kit works offline, and every weight depends on the seed.
        """
        return build_unloaded(
            self.architecture, input_shape, num_classes, seed=seed, options=options or {}
        )

    def wrong(self, text: str) -> ContractError:
        """Make the error that says what is wrong."""
        return ContractError(f"Architecture {self.loaded.name!r} {text}.")


def noise(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Draw the same noise pixels every time, 0..255."""
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _batches(side: int, num_images: int) -> tf.data.Dataset:
    """Make one batch of noise images in three classes."""
    labels = np.eye(3, dtype=np.float32)[np.arange(num_images) % 3]
    return tf.data.Dataset.from_tensors((noise((num_images, side, side, 3)), labels))


def documented(subject: Subject) -> None:
    """Its docstring is what listings show of it."""
    if not (subject.loaded.function.__doc__ or "").strip():
        raise subject.wrong("has no docstring; its first line is what listings show")


def any_size(subject: Subject) -> None:
    """Users have images of any size, in colour and grey, in any number of classes."""
    low = subject.smallest
    cases = [((low, low, 1), 2), ((low + 5, low + 12, 3), 10), ((max(low, 64), max(low, 48), 1), 3)]
    for shape, num_classes in cases:
        model = subject.build_for(shape, num_classes)
        _probabilities(subject, model, noise((2, *shape)))


def refusal(subject: Subject) -> None:
    """Too small an image is refused with the smallest size that works."""
    if subject.smallest == 1:
        return
    side = subject.smallest - 1
    try:
        subject.build_for((side, side, 3), 2)
    except ArgumentError as error:
        if f"{subject.smallest} x {subject.smallest}" not in str(error):
            raise subject.wrong(
                f"refuses images of {side} x {side} without naming the smallest size, "
                f"{subject.smallest} x {subject.smallest} ({error})"
            ) from error
    else:
        raise subject.wrong(f"builds for {side} x {side} pixels now, and did not before")


def outputs(subject: Subject) -> None:
    """Probabilities come out, and an image's do not depend on its neighbours in the batch."""
    images = noise((BATCH, subject.side, subject.side, 3))
    for model in (subject.build(num_classes=2), subject.network):
        together = _probabilities(subject, model, images)
        alone = _probabilities(subject, model, images[:1])
        if not np.allclose(together[:1], alone, atol=OUTPUT_TOLERANCE):
            raise subject.wrong("predicts an image otherwise alone than in a batch")


def seeds(subject: Subject) -> None:
    """One seed gives one network; two builds share nothing."""
    first, second = (named_weights(subject.build(seed=7)) for _ in range(2))
    if list(first) != list(second):
        changed = next(name for name in first if name not in second)
        raise subject.wrong(f"names its weights anew in every build, {changed!r} for one")
    for name, variable in first.items():
        if variable is second[name]:
            raise subject.wrong(f"shares the weights {name!r} between two networks")
        if not np.array_equal(variable.numpy(), second[name].numpy()):
            raise subject.wrong(f"gives other weights {name!r} for the same seed")


def options_reach(subject: Subject) -> None:
    """An option that changes nothing is a promise that is not kept."""
    for option in subject.loaded.options:
        others = _other_values(option)
        if others and not any(_changes(subject, {option.name: value}) for value in others):
            raise subject.wrong(f"ignores its option {option.name!r}: no value changes anything")


def search_corners(subject: Subject) -> None:
    """The tuner may ask for any combination of search values."""
    searched = {o.name: o.range.search for o in subject.loaded.options if o.searched}
    corners: list[dict[str, Value]] = [
        {name: values[end] for name, values in searched.items()} for end in (0, -1)
    ]
    between = [{name: value} for name, values in searched.items() for value in values[1:-1]]
    for options in corners + between:
        try:
            subject.build(options=options)
        except Exception as error:
            text = ", ".join(f"{name}={value!r}" for name, value in options.items())
            raise subject.wrong(
                f"does not build at the search values {text} ({in_one_line(error)})"
            ) from error


def trains_in_float32(subject: Subject) -> None:
    """One step in float32 leaves finite weights and moves the head."""
    _train(subject, "float32")


def trains_in_bfloat16(subject: Subject) -> None:
    """One step in mixed bfloat16, the fast precision of newer processors, does so too."""
    _train(subject, "mixed_bfloat16")


def keras_untouched(subject: Subject) -> None:
    """A network is built; nobody else's Keras is configured on the way."""

    def configuration() -> dict[str, Any]:
        names = ("floatx", "image_data_format", "epsilon", "dtype_policy")
        values = {name: getattr(keras.config, name)() for name in names}
        return {name: getattr(value, "name", value) for name, value in values.items()}

    before = configuration()
    defaults = {option.name: option.default for option in subject.loaded.options}
    options = without_weights(subject.loaded.options, defaults)
    try:
        subject.loaded.function((subject.side, subject.side, 3), 3, **options)
        changed = [name for name, value in configuration().items() if value != before[name]]
    finally:
        for name, value in before.items():
            getattr(keras.config, f"set_{name}")(value)
    if changed:
        raise subject.wrong(f"changes Keras' global {', '.join(changed)}")


def round_trip(subject: Subject) -> None:
    """A saved bundle gives the same outputs where it is loaded."""
    loaded = subject.loaded
    architecture = loaded.function if loaded.registration is None else loaded.name
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.imgclf"
        save_bundle(subject.network, path)
        reload_bundle(path, architecture, fresh_process=subject.fresh_process)


def read_by_keras(subject: Subject) -> None:
    """What Keras' users do with a model works with it: a `.keras` file, and a clone.

    Layers of the plugin's own are given to Keras by name, as its users do with ``custom_objects``.
    """
    layers = subject.network._flatten_layers(include_self=False)  # noqa: SLF001 - nested ones too
    own = {type(layer).__name__: type(layer) for layer in layers if _is_own(layer)}
    remedy = (
        "give its own layers a get_config, and register its own functions and other objects with "
        "keras.saving.register_keras_serializable"
    )
    images = noise((2, subject.side, subject.side, 3))
    with tempfile.TemporaryDirectory() as folder, keras.saving.custom_object_scope(own):
        path = Path(folder) / "network.keras"
        try:
            subject.network.save(path)
            read = keras.models.load_model(path)
            keras.models.clone_model(subject.network)
        except Exception as error:
            raise subject.wrong(
                f"cannot be saved and read back by Keras ({in_one_line(error):.300}): {remedy}"
            ) from error
    rows = [np.asarray(model(images, training=False)) for model in (subject.network, read)]
    if not np.allclose(rows[0], rows[1], atol=OUTPUT_TOLERANCE):
        raise subject.wrong(
            f"gives other outputs when Keras has saved and read it: {remedy}, from which they are "
            "made alike"
        )


def _is_own(layer: keras.layers.Layer) -> bool:
    return type(layer).__module__.partition(".")[0] not in ("keras", "keras_hub")


CHECKS: dict[str, Callable[[Subject], None]] = {
    "it is documented": documented,
    "it takes any size, colour or grey, any number of classes": any_size,
    "it refuses too small an image with the smallest size": refusal,
    "its outputs are probabilities, image by image": outputs,
    "one seed gives one network": seeds,
    "every option reaches the network": options_reach,
    "it builds at the corners of its search space": search_corners,
    "it leaves Keras' configuration alone": keras_untouched,
    "it trains in float32": trains_in_float32,
    "it trains in mixed bfloat16": trains_in_bfloat16,
    "a saved classifier gives the same outputs again": round_trip,
    "Keras saves, reads and clones it": read_by_keras,
}
"""What is checked, in words, and how."""


def _probabilities(
    subject: Subject, model: keras.Model, images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Run the network on uint8 images ``(batch, height, width, channels)`` and check the rows."""
    rows = np.asarray(model(images, training=False))
    if not np.isfinite(rows).all() or (rows < 0).any() or (rows > 1).any():
        raise subject.wrong("gives outputs that are no probabilities")
    if rows.shape[1] > 1 and not np.allclose(rows.sum(axis=1), 1, atol=1e-5):
        raise subject.wrong("gives rows of probabilities that do not sum to 1")
    return rows


def _changes(subject: Subject, options: Mapping[str, Value]) -> bool:
    """Whether options make another network: other layers, or the same with other outputs."""
    model = subject.build(options=options)
    if _structure(model) != _structure(subject.network):
        return True
    images = noise((2, subject.side, subject.side, 3))
    own, default = (
        np.asarray(network(images, training=False)).round(5) for network in (model, subject.network)
    )
    return bool(np.any(own != default))


def _structure(model: keras.Model) -> str:
    """Describe a network by the settings of its layers and its weights' shapes."""
    layers = []
    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - nested ones too
        if not isinstance(layer, keras.Model):
            settings = {k: v for k, v in layer.get_config().items() if k != "name"}
            layers.append([type(layer).__name__, settings])
    shapes = [tuple(weight.shape) for weight in model.weights]
    # Settings that JSON does not know, such as activations, have a name or a text.
    return json.dumps([layers, shapes], default=str)


def _other_values(option: Option) -> list[Value]:
    """List valid values other than the default: all choices, or the cheapest number."""
    match option.range:
        case Weights():  # What is fetched or read by name changes weights alone.
            return []
        case Choice(values=values):
            return [value for value in values if value != option.default]
        case Int(minimum=low, maximum=high):
            cheapest: float = low if option.default != low else min(low + 1, high)
        case Float(minimum=low_number, maximum=high_number):
            cheapest = low_number if option.default != low_number else high_number
    return [cheapest] if cheapest != option.default else []


def _train(subject: Subject, precision: Precision) -> None:
    model = subject.build()
    head = model.get_layer("head")
    before = head.kernel.numpy().copy()
    try:
        # One step is sooner taken than compiled; saving the bundle compiles the way forward.
        model.compile("sgd", "categorical_crossentropy", run_eagerly=True)
        fit(model, _batches(subject.side, BATCH), epochs=1, precision=precision, verbose=0)
    except Exception as error:
        raise subject.wrong(
            f"fails in a {precision} training step ({in_one_line(error)})"
        ) from error
    for name, variable in named_weights(model).items():
        if not np.isfinite(variable.numpy()).all():
            raise subject.wrong(f"has weights {name!r} that are no numbers after one step")
    if np.array_equal(before, head.kernel.numpy()):
        raise subject.wrong("has a layer 'head' that training does not change")
