"""The promises of building a network by its name."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Annotated, Any, Literal

import keras
import numpy as np
import pytest

import imgclf
from imgclf.errors import (
    ArgumentError,
    ContractError,
    OptionError,
    PluginError,
    UnknownArchitectureError,
)
from imgclf.options import Int
from imgclf.zoo.isolation import load_function
from imgclf.zoo.registry import list_architectures
from plugin_folders import SOUND_PLUGIN, install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from forked_python import ForkedPython

SHAPE = (12, 12, 3)


def net(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: Annotated[int, Int(1, 64)] = 4,
    change: Literal["", "input", "rescaling", "conv", "head", "lambda", "flip", "half"] = "",
) -> keras.Model:
    """A small sound network; `change` leaves out or breaks one thing."""
    image = keras.Input(input_shape, dtype="uint8", name="photo" if change == "input" else "image")
    features = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    if change == "rescaling":
        image = keras.Input(input_shape, dtype="uint8", name="image")
        features = image
    if change == "lambda":
        features = keras.layers.Lambda(lambda pixels: pixels * 2, name="twice")(features)
    if change == "flip":
        features = keras.layers.RandomFlip(name="flip")(features)
    features = keras.layers.Conv2D(
        filters,
        3,
        name=None if change == "conv" else "conv",
        dtype="mixed_float16" if change == "half" else None,
    )(features)
    features = keras.layers.MaxPooling2D(4, name="pooling")(features)
    features = keras.layers.Flatten(name="flatten")(features)
    features = keras.layers.Dropout(0.5)(features)
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    name = "output" if change == "head" else "head"
    return keras.Model(image, keras.layers.Dense(units, activation=activation, name=name)(features))


def pixels(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Noise pixels of a batch."""
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def outputs(model: keras.Model, batch: Any) -> Any:
    """Run a model on a batch, as prediction does."""
    return np.asarray(model(batch, training=False))


def test_a_name_and_a_shape_are_enough() -> None:
    """`build_model(name, input_shape)` gives a two-class network that is ready for training."""
    model = imgclf.build_model("three_conv", (32, 32, 3))
    assert isinstance(model, keras.Model)
    assert not model.compiled
    assert model.output_shape == (None, 1)
    assert model.inputs[0].dtype == "uint8"


@pytest.mark.parametrize("num_classes", [2, 3, 7])
def test_probabilities_come_out(num_classes: int) -> None:
    """Two classes: one number from 0 to 1. More: rows that sum to 1."""
    rows = outputs(imgclf.build_model(net, SHAPE, num_classes), pixels(5, *SHAPE))
    assert rows.shape == (5, 1 if num_classes == 2 else num_classes)
    assert ((rows >= 0) & (rows <= 1)).all()
    if num_classes > 2:
        np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-6)


def test_options_reach_the_network() -> None:
    """An option is a plain keyword."""
    model = imgclf.build_model(net, SHAPE, filters=7)
    assert model.get_layer("conv").filters == 7


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("three_con", SHAPE), {}, UnknownArchitectureError, "Did you mean 'three_conv'?"),
        ((net, SHAPE), {"filters": 0}, OptionError, "whole number from 1 to 64"),
        ((net, SHAPE), {"filter": 8}, OptionError, "Did you mean 'filters'?"),
        ((net, (12, 12)), {}, ArgumentError, "give (height, width, channels)"),
        ((net, 12), {}, ArgumentError, "input_shape=12 is not accepted"),
        ((net, (12, 12.0, 3)), {}, ArgumentError, "whole numbers of pixels"),
        ((net, (12, 0, 3)), {}, ArgumentError, "whole numbers of pixels"),
        ((net, (12, 12, True)), {}, ArgumentError, "whole numbers of pixels"),
        ((net, (12, 12, 4)), {}, ArgumentError, "with 1 or 3 channels."),
        ((net, (3, 12, 12)), {}, ArgumentError, "(or data_format='channels_first')"),
        ((net, SHAPE), {"data_format": "first"}, ArgumentError, "data_format='first'"),
        ((net, SHAPE, 1), {}, ArgumentError, "num_classes=1 is not accepted"),
        ((net, SHAPE, 2.0), {}, ArgumentError, "num_classes=2.0 is not accepted"),
        ((net, SHAPE, True), {}, ArgumentError, "num_classes=True is not accepted"),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_accepted(
    arguments: Any, options: Any, error: type[Exception], message: str
) -> None:
    """One line names the argument, its value and what to give instead."""
    with pytest.raises(error) as caught:
        imgclf.build_model(*arguments, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "smallest"), [((5, 5, 3), 6), ((1, 1, 1), 6), ((3, 40, 3), 6), ((40, 4, 3), 6)]
)
def test_too_small_an_image_is_refused_with_the_smallest_size(
    shape: tuple[int, int, int], smallest: int
) -> None:
    """The size in the message works; one pixel less does not."""
    with pytest.raises(ArgumentError) as caught:
        imgclf.build_model(net, shape)
    assert str(caught.value) == (
        f"Images of {shape[0]} x {shape[1]} pixels are too small for 'net': "
        f"it needs at least {smallest} x {smallest}."
    )
    imgclf.build_model(net, (smallest, smallest, shape[2]))
    with pytest.raises(ArgumentError):
        imgclf.build_model(net, (smallest - 1, smallest - 1, shape[2]))


def test_another_failure_is_not_blamed_on_the_size() -> None:
    """A defect of the architecture is reported as that, with what Python said."""

    def broken(input_shape: Any, num_classes: int) -> keras.Model:
        raise ZeroDivisionError("by zero")

    with pytest.raises(ContractError, match=r"'broken' failed .* \(ZeroDivisionError: by zero at "):
        imgclf.build_model(broken, SHAPE)


def test_a_shape_that_a_square_of_that_side_would_fit_is_not_too_small() -> None:
    """An architecture for squares only does not complain of small images."""

    def square(input_shape: Any, num_classes: int) -> keras.Model:
        if input_shape[0] != input_shape[1]:
            raise ValueError("squares only")
        return net(input_shape, num_classes)

    with pytest.raises(ContractError, match="squares only"):
        imgclf.build_model(square, (12, 20, 3))


def test_channels_first_gives_the_same_function() -> None:
    """Turned pixels into the turned network give the same outputs."""
    last = imgclf.build_model(net, (12, 16, 3), 4, seed=5)
    first = imgclf.build_model(net, (3, 12, 16), 4, seed=5, data_format="channels_first")
    assert first.input_shape == (None, 3, 12, 16)
    assert (first.inputs[0].name, first.layers[-1].name) == ("image", "head")
    batch = pixels(3, 12, 16, 3)
    turned = outputs(first, batch.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(turned, outputs(last, batch), rtol=1e-6)


def test_channels_first_keeps_the_layers_flat_and_named() -> None:
    """A classifier finds the same named weights in either order of axes."""
    last = imgclf.build_model(net, SHAPE)
    first = imgclf.build_model(net, (3, 12, 12), data_format="channels_first")
    assert [w.path for w in first.weights] == [w.path for w in last.weights]


def test_too_small_an_image_is_refused_in_channels_first_too() -> None:
    """The size check sees height and width, not channels."""
    with pytest.raises(ArgumentError, match=r"Images of 5 x 12 pixels .* at least 6 x 6"):
        imgclf.build_model(net, (3, 5, 12), data_format="channels_first")


def test_same_seed_same_weights() -> None:
    """A seed fixes every initial weight; another seed changes them."""
    one, same, other = (imgclf.build_model("five_conv", (32, 32, 1), filters=4, seed=s)
                        for s in (3, 3, 4))  # fmt: skip
    for first, second in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])


def test_without_a_seed_weights_differ() -> None:
    """Two networks without a seed are two draws."""
    one, other = (imgclf.build_model(net, SHAPE) for _ in range(2))
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize("seed", [None, 3])
def test_a_seed_leaves_the_callers_random_numbers_alone(seed: int | None) -> None:
    """`random` and NumPy go on as if nothing had been built with a seed."""
    random.seed(11)
    np.random.seed(11)
    before = random.getstate(), np.random.get_state()[1].tolist()
    imgclf.build_model(net, SHAPE, seed=seed)
    after = random.getstate(), np.random.get_state()[1].tolist()
    assert after[1] == before[1]
    assert seed is None or after[0] == before[0]


@pytest.fixture
def unusual_keras() -> Iterator[None]:
    """A user's own Keras configuration."""
    keras.config.set_floatx("float16")
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")


def test_the_users_keras_configuration_changes_nothing_and_stays(unusual_keras: None) -> None:
    """Under any configuration the network is the same float32 one; the configuration is kept."""
    model = imgclf.build_model("resnet9", (16, 16, 3), 3, filters=8, seed=2)
    assert keras.config.floatx() == "float16"
    assert keras.config.image_data_format() == "channels_first"
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    found = outputs(model, pixels(2, 16, 16, 3))
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    usual = imgclf.build_model("resnet9", (16, 16, 3), 3, filters=8, seed=2)
    np.testing.assert_array_equal(found, outputs(usual, pixels(2, 16, 16, 3)))
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}


def test_the_configuration_stays_when_the_build_fails(unusual_keras: None) -> None:
    """An error on the way leaves the user's configuration as it was."""
    with pytest.raises(ArgumentError):
        imgclf.build_model(net, (2, 2, 3), seed=1)
    assert keras.config.floatx() == "float16"
    assert keras.config.image_data_format() == "channels_first"
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


def test_another_backend_is_one_clear_error(forked_python: ForkedPython) -> None:
    """Keras on another backend is named together with the variable that changes it."""
    code = (
        "import keras, imgclf\n"
        "keras.backend.backend = lambda: 'jax'\n"
        "try: imgclf.build_model('three_conv', (32, 32, 3))\n"
        "except imgclf.BackendError as error: print(error)"
    )
    assert "'jax'; imgclf needs 'tensorflow': set KERAS_BACKEND=tensorflow" in (
        forked_python.run(code).stdout
    )


def sequential(input_shape: Any, num_classes: int) -> keras.Model:
    """A sound Sequential network."""
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="uint8", name="image"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(1, activation="sigmoid", name="head"),
        ]
    )


def shared(input_shape: Any, num_classes: int) -> keras.Model:
    """A sound network that uses one layer twice, so that this layer has no single output."""
    image = keras.Input(input_shape, dtype="uint8", name="image")
    features = keras.layers.Rescaling(1 / 255)(image)
    convolution = keras.layers.Conv2D(3, 3, padding="same", name="conv")
    features = keras.layers.Flatten()(convolution(convolution(features)))
    return keras.Model(image, keras.layers.Dense(1, activation="sigmoid", name="head")(features))


@pytest.mark.parametrize("architecture", [net, sequential, shared])
def test_sound_functions_of_any_style_are_accepted(architecture: Callable[..., Any]) -> None:
    """Functional, Sequential and shared layers all keep the contract."""
    assert outputs(imgclf.build_model(architecture, SHAPE), pixels(2, *SHAPE)).shape == (2, 1)


def _compiled(input_shape: Any, num_classes: int) -> keras.Model:
    model = net(input_shape, num_classes)
    model.compile("adam", "binary_crossentropy")
    return model


def _subclassed(input_shape: Any, num_classes: int) -> keras.Model:
    class Net(keras.Model):
        pass

    return Net()


def _unbuilt(input_shape: Any, num_classes: int) -> keras.Model:
    return keras.Sequential([keras.layers.Dense(1, name="head")])


def _two_inputs(input_shape: Any, num_classes: int) -> keras.Model:
    first, second = keras.Input(input_shape, dtype="uint8", name="image"), keras.Input(input_shape)
    total = keras.layers.Flatten()(keras.layers.Add()([first, second]))
    return keras.Model([first, second], keras.layers.Dense(1, name="head")(total))


def _two_outputs(input_shape: Any, num_classes: int) -> keras.Model:
    model = net(input_shape, num_classes)
    return keras.Model(model.inputs, [model.outputs[0], model.layers[-2].output])


def _logits(input_shape: Any, num_classes: int) -> keras.Model:
    model = net(input_shape, num_classes)
    model.layers[-1].activation = keras.activations.linear
    return model


def _other_size(input_shape: Any, num_classes: int) -> keras.Model:
    return net((input_shape[0] + 1, *input_shape[1:]), num_classes)


def _two_units(input_shape: Any, num_classes: int) -> keras.Model:
    image = keras.Input(input_shape, dtype="uint8", name="image")
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(2, activation="softmax", name="head")(features))


def _nested(input_shape: Any, num_classes: int) -> keras.Model:
    """Hide an automatic name inside a nested model."""
    image = keras.Input(input_shape, dtype="uint8", name="image")
    features = keras.layers.Rescaling(1 / 255)(image)
    inner = keras.Sequential([keras.layers.Conv2D(2, 3), keras.layers.Flatten()], name="body")
    return keras.Model(
        image, keras.layers.Dense(1, activation="sigmoid", name="head")(inner(features))
    )


def _float_input(input_shape: Any, num_classes: int) -> keras.Model:
    image = keras.Input(input_shape, name="image")
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(1, activation="sigmoid", name="head")(features))


class _Block(keras.layers.Layer):
    """Forgets the names of its two layers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.parts = [keras.layers.Dense(3), keras.layers.Dense(3)]

    def build(self, shape: Any) -> None:
        """Build the layers inside."""
        for part in self.parts:
            part.build(shape)

    def call(self, features: Any) -> Any:
        """Apply both."""
        return self.parts[1](self.parts[0](features))


def _own_layers(input_shape: Any, num_classes: int) -> keras.Model:
    """Has sub-layers without names."""
    image = keras.Input(input_shape, dtype="uint8", name="image")
    features = _Block(name="block0")(keras.layers.Rescaling(1 / 255)(image))
    features = keras.layers.Flatten()(features)
    return keras.Model(image, keras.layers.Dense(1, activation="sigmoid", name="head")(features))


def _none(input_shape: Any, num_classes: int) -> Any:
    return None


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        (_none, {}, "'_none' returned NoneType; return a keras.Model."),
        (_compiled, {}, "'_compiled' returned a compiled model"),
        (_subclassed, {}, "must return a functional (or Sequential) keras.Model"),
        (_unbuilt, {}, "Sequential that does not know its images; begin it with keras.Input("),
        (_float_input, {}, "reads float32 images; pixels are whole numbers of 0..255"),
        (_own_layers, {}, "has the layers 'block0/dense"),
        (_two_inputs, {}, "keras.Model with one of its inputs"),
        (_two_outputs, {}, "keras.Model with one of its outputs"),
        (_other_size, {}, "reads (13, 12, 3), not the (12, 12, 3) asked for"),
        (_logits, {}, "has the layer 'head' without sigmoid, which 2 classes need"),
        (_two_units, {}, "has the layer 'head' with outputs of shape (2,); 2 classes need (1,)"),
        (_nested, {}, "has the layer 'body/conv2d"),
        (net, {"change": "input"}, "has the input 'photo'; name it 'image'"),
        (net, {"change": "rescaling"}, "feeds raw pixels 0..255 to the layer 'conv'"),
        (net, {"change": "conv"}, "has the layer 'conv2d"),
        (net, {"change": "head"}, "ends in the layer 'output'"),
        (net, {"change": "lambda"}, "has the Lambda layer 'twice'"),
        (net, {"change": "flip"}, "has the augmentation layer 'flip'"),
        (net, {"change": "half"}, "has the layer 'conv' in mixed_float16; use float32"),
    ],
)
def test_each_breach_of_the_contract_names_the_layer_at_fault(
    architecture: Any, options: Any, message: str
) -> None:
    """An author reads which layer breaks what, before any training."""
    with pytest.raises(ContractError) as caught:
        imgclf.build_model(architecture, SHAPE, **options)
    assert message in str(caught.value)


def test_all_breaches_are_told_at_once() -> None:
    """An author mends everything in one round: each fault of a network is in the one message."""

    def wrong(input_shape: Any, num_classes: int) -> keras.Model:
        image = keras.Input(input_shape, name="photo")
        features = keras.layers.Flatten()(keras.layers.Dense(2)(image))
        return keras.Model(image, keras.layers.Dense(1, name="output")(features))

    with pytest.raises(
        ContractError, match="has 5 faults: \\(1\\) has the input 'photo'"
    ) as caught:
        imgclf.build_model(wrong, SHAPE)
    for part in ("float32 images", "raw pixels", "ends in the layer 'output'", "layer 'dense"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_given_is_never_automatic() -> None:
    """`Dense(4, name="dense")` has a name, though Keras itself could have thought of it."""

    def plain(input_shape: Any, num_classes: int) -> keras.Model:
        image = keras.Input(input_shape, dtype="uint8", name="image")
        features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
        features = keras.layers.Dense(4, name="dense")(features)
        features = keras.layers.Dense(4, name="dense_1")(features)
        return keras.Model(
            image, keras.layers.Dense(1, activation="sigmoid", name="head")(features)
        )

    for _ in range(2):
        assert imgclf.build_model(plain, SHAPE).get_layer("dense_1")


def test_an_exception_of_a_function_names_file_and_line(tmp_path: Path) -> None:
    """An author reads where the own function raised, not only what."""
    source = "def own_net(input_shape, num_classes):\n    size = 0\n    return 1 / size\n"
    (tmp_path / "own.py").write_text(source)
    function = load_function(tmp_path / "own.py", "own_net")
    with pytest.raises(ContractError, match=r"ZeroDivisionError: .* at own\.py:3\)\.$"):
        imgclf.build_model(function, SHAPE)


def test_a_plugin_builds_like_a_built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name from an installed package goes the whole way."""
    monkeypatch.syspath_prepend(
        install(tmp_path, "built-nets", SOUND_PLUGIN.format(name="built_nets"))
    )
    model = imgclf.build_model("built_nets", SHAPE, 3, units=5)
    assert model.get_layer("conv").filters == 5


def test_a_plugin_that_returns_no_model_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who must repair it stands in the message."""
    source = "def empty_nets(input_shape, num_classes): return None"
    monkeypatch.syspath_prepend(install(tmp_path, "empty-nets", source, version="4.2"))
    with pytest.raises(ContractError, match=r"returned NoneType; .* from empty-nets 4\.2\."):
        imgclf.build_model("empty_nets", SHAPE)
    assert "empty_nets" in list_architectures()


def test_a_plugin_that_cannot_be_imported_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import's own reason stands in the message too."""
    monkeypatch.syspath_prepend(install(tmp_path, "raising-nets", "raise ValueError('no GPU')"))
    with pytest.raises(PluginError, match=r"of raising-nets 1\.0 cannot .*ValueError: no GPU"):
        imgclf.build_model("raising_nets", SHAPE)
