"""The promises of the conformance kit: the zoo passes it, and no planted defect does."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated, Any, Literal

import keras
import numpy as np
import pytest

from imgclf.conformance.kit import CHECKS, Subject
from imgclf.errors import UnknownArchitectureError
from imgclf.options import Choice, Int
from imgclf.testing import CheckResult, ConformanceReport, check_architecture
from imgclf.zoo.builder import build_unloaded
from imgclf.zoo.registry import find_architectures, load_architecture
from plugin_folders import install

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BUILT_IN = [name for name, found in find_architectures().items() if found[0].builtin]

Shape = tuple[int, int, int]
Width = Annotated[int, Int(2, 64, search=[2, 4])]


def check(architecture: str | Callable[..., Any]) -> ConformanceReport:
    """Run the kit without what takes longest."""
    return check_architecture(architecture, fresh_process=False, measure=False)


LARGE = {
    "convnext", "efficientnet_lite", "efficientnet_v2", "hub_resnet", "mobilenet_v3", "resnet_v2",
}  # fmt: skip
"""Families of some hundred layers: their checks take minutes."""

DEEP = {"airnet", "convmixer", "five_conv", "mobilenet_small", "resnet20", "resnet9", "vgg_bn"}
"""Families of a dozen layers and more, each of which every build makes again."""

ROUND_TRIP = "a saved classifier gives the same outputs again"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in LARGE | DEEP else ())
        for name in BUILT_IN
    ],
)
@pytest.mark.timeout(1800)
def test_every_built_in_keeps_the_contract(name: str) -> None:
    """The zoo's own test: what is asked of plugins is asked of every built-in."""
    if name == "hub_resnet":
        pytest.importorskip("keras_hub", reason="the extra keras-hub")
    report = check(name)
    assert report.passed, str(report)


@pytest.mark.parametrize("name", sorted(DEEP))
def test_a_deep_built_in_keeps_the_contract_in_short(name: str) -> None:
    """The slow tests run the whole kit; this asks what a training and its file need."""
    network = build_unloaded(name, (32, 32, 3), 3, seed=0, options={})
    subject = Subject(name, load_architecture(name), 32, 32, network, fresh_process=False)
    for title in (
        "it is documented",
        "it leaves Keras' configuration alone",
        "it trains in float32",
        ROUND_TRIP,
    ):
        CHECKS[title](subject)


def _parts(
    input_shape: Shape,
    num_classes: int,
    width: int = 2,
    *,
    first: Any = None,
    middle: Any = None,
    body: Any = None,
    head: str | None = None,
) -> keras.Model:
    """Build a tiny sound network, with one part exchanged for a planted one."""
    image = keras.Input(input_shape, dtype="uint8", name="image")
    features = (first or keras.layers.Rescaling(1 / 255, name="rescaling"))(image)
    features = (body or keras.layers.Conv2D(width, 3, strides=2, name="conv"))(features)
    features = middle(features) if middle else features
    features = keras.layers.GlobalAveragePooling2D(name="pooling")(features)
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    output = keras.layers.Dense(units, activation=head or activation, name="head")(features)
    return keras.Model(image, output)


def sound(input_shape: Shape, num_classes: int, *, width: Width = 4) -> keras.Model:
    """A network without a defect."""
    return _parts(input_shape, num_classes, width)


def unseeded(input_shape: Shape, num_classes: int) -> keras.Model:
    """Draws its first weights from NumPy."""
    model = _parts(input_shape, num_classes)
    kernel = model.get_layer("conv").kernel
    kernel.assign(np.random.default_rng().normal(size=kernel.shape))
    return model


def deaf(
    input_shape: Shape,
    num_classes: int,
    *,
    width: Width = 4,
    pooling: Literal["max", "avg"] = "max",
) -> keras.Model:
    """Ignores its option `pooling`."""
    return _parts(input_shape, num_classes, width)


def lambda_inside(input_shape: Shape, num_classes: int) -> keras.Model:
    """Has a Lambda layer."""
    return _parts(
        input_shape, num_classes, middle=keras.layers.Lambda(lambda x: 2 * x, name="twice")
    )


def augmenting(input_shape: Shape, num_classes: int) -> keras.Model:
    """Augments inside the network."""
    return _parts(input_shape, num_classes, middle=keras.layers.RandomFlip(name="mirror"))


def nameless(input_shape: Shape, num_classes: int) -> keras.Model:
    """Leaves a layer with weights without a name."""
    return _parts(input_shape, num_classes, body=keras.layers.Conv2D(2, 3))


def renamed(input_shape: Shape, num_classes: int) -> keras.Model:
    """Gives a layer another name in every build."""
    return _parts(input_shape, num_classes, body=keras.layers.Conv2D(2, 3, name=uuid.uuid4().hex))


def three_classes(input_shape: Shape, num_classes: int) -> keras.Model:
    """Always has three outputs."""
    return _parts(input_shape, 3)


def colour_only(input_shape: Shape, num_classes: int) -> keras.Model:
    """Cannot read grey images."""
    if input_shape[2] != 3:
        raise ValueError("colour only")
    return _parts(input_shape, num_classes)


def squares_only(input_shape: Shape, num_classes: int) -> keras.Model:
    """Reads height and width in the wrong order."""
    height, width, channels = input_shape
    return _parts((width, height, channels), num_classes)


class BadGradient(keras.layers.Layer):
    """Sound forward, without a finite slope backward: the square root at zero."""

    def call(self, features: Any) -> Any:
        """Apply the layer."""
        return features + keras.ops.sqrt(keras.ops.relu(-keras.ops.abs(features)))


def exploding(input_shape: Shape, num_classes: int) -> keras.Model:
    """Has gradients that are no numbers."""
    return _parts(input_shape, num_classes, middle=BadGradient(name="root"))


class Float32Only(keras.layers.Layer):
    """Multiplies by a float32 constant, which no bfloat16 tensor accepts."""

    def call(self, features: Any) -> Any:
        """Apply the layer."""
        import tensorflow as tf

        return tf.multiply(features, tf.constant(0.5, tf.float32))


def float32_only(input_shape: Shape, num_classes: int) -> keras.Model:
    """Trains in float32 alone."""
    return _parts(input_shape, num_classes, middle=Float32Only(name="halved"))


def bad_corner(
    input_shape: Shape,
    num_classes: int,
    *,
    width: Annotated[int, Choice(values=[4, 6, 9], search=[4, 9])] = 4,
) -> keras.Model:
    """Cannot be built at one end of its own search space."""
    if width == 9:
        raise ValueError("9 filters in 2 groups")
    return _parts(input_shape, num_classes, width)


def frozen(input_shape: Shape, num_classes: int) -> keras.Model:
    """Leaves nothing to train."""
    model = _parts(input_shape, num_classes)
    model.get_layer("head").trainable = False
    return model


def raw_pixels(input_shape: Shape, num_classes: int) -> keras.Model:
    """Feeds 0..255 to its first convolution."""
    image = keras.Input(input_shape, dtype="uint8", name="image")
    features = keras.layers.Conv2D(2, 3, name="conv")(image)
    features = keras.layers.Flatten(name="flatten")(features)
    return keras.Model(image, keras.layers.Dense(1, activation="sigmoid", name="head")(features))


_shared_layer: list[keras.layers.Layer] = []


def sharing(input_shape: Shape, num_classes: int) -> keras.Model:
    """Gives every network the same head's neighbour, so that training one changes all."""
    if not _shared_layer:
        _shared_layer.append(keras.layers.BatchNormalization(name="norm"))
    return _parts(input_shape, num_classes, middle=_shared_layer[0])


class BatchCentred(keras.layers.Layer):
    """Subtracts the mean over the batch, in prediction too."""

    def call(self, features: Any) -> Any:
        """Apply the layer."""
        return features - keras.ops.mean(features, axis=0, keepdims=True)


def neighbourly(input_shape: Shape, num_classes: int) -> keras.Model:
    """Predicts an image otherwise in other company."""
    return _parts(input_shape, num_classes, middle=BatchCentred(name="centred"))


def meddling(input_shape: Shape, num_classes: int) -> keras.Model:
    """Changes Keras for everybody."""
    model = _parts(input_shape, num_classes)
    keras.config.set_image_data_format("channels_first")
    return model


def mumbling(input_shape: Shape, num_classes: int) -> keras.Model:  # noqa: D103 - the defect
    return _parts(input_shape, num_classes)


def gruff(input_shape: Shape, num_classes: int) -> keras.Model:
    """Refuses small images without the smallest size."""
    from imgclf.errors import ArgumentError

    if min(input_shape[:2]) < 9:
        raise ArgumentError("too small")
    return _parts(input_shape, num_classes)


def logits(input_shape: Shape, num_classes: int) -> keras.Model:
    """Ends in logits."""
    return _parts(input_shape, num_classes, head="linear")


def functional_initializer(input_shape: Shape, num_classes: int) -> keras.Model:
    """Draws weights by a function, which no file of Keras can name."""

    def ones(shape: Any, dtype: Any = None) -> Any:
        return keras.ops.ones(shape, dtype)

    body = keras.layers.Conv2D(2, 3, kernel_initializer=ones, name="conv")
    return _parts(input_shape, num_classes, body=body)


class Forgetful(keras.layers.Layer):
    """Multiplies by a number that its configuration does not hold."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.factor = 1.0

    def call(self, features: Any) -> Any:
        """Apply the layer."""
        return features * self.factor

    def get_config(self) -> dict[str, Any]:
        """Forget the factor."""
        return super().get_config()


def forgetful(input_shape: Shape, num_classes: int) -> keras.Model:
    """Is another network once Keras has read it back."""
    layer = Forgetful(name="times")
    layer.factor = 3.0
    return _parts(input_shape, num_classes, middle=layer)


class Scaled(keras.layers.Layer):
    """A sound layer of a plugin's own, registered nowhere."""

    def __init__(self, factor: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor
        self.inner = keras.layers.Dense(3, name="inner")

    def build(self, shape: Any) -> None:
        """Build the layer inside."""
        self.inner.build(shape)

    def call(self, features: Any) -> Any:
        """Apply the layer."""
        return self.factor * self.inner(features)

    def get_config(self) -> dict[str, Any]:
        """Name the factor."""
        return {**super().get_config(), "factor": self.factor}


def own_layers(input_shape: Shape, num_classes: int) -> keras.Model:
    """Has a layer of its own with another layer inside."""
    return _parts(input_shape, num_classes, middle=Scaled(3.0, name="scaled"))


def test_a_plugin_with_layers_of_its_own_passes() -> None:
    """Layers of one's own need names inside and a get_config, and no registration."""
    report = check(own_layers)
    assert report.passed, str(report)


def test_a_sound_architecture_passes_with_its_figures() -> None:
    """The report names what was checked, the parameters and both speeds."""
    report = check_architecture(sound, fresh_process=False)
    assert report.passed, str(report)
    assert report.num_parameters == 3 * 3 * 3 * 4 + 4 + 4 * 3 + 3
    assert report.predict_images_per_s > 0
    assert report.train_images_per_s > 0
    assert "127 parameters" in str(report)
    assert str(report).count("ok    ") == len(report.results) == 13


@pytest.mark.parametrize(
    ("architecture", "problem"),
    [
        (unseeded, "gives other weights"),
        (deaf, "ignores its option 'pooling'"),
        (lambda_inside, "Lambda layer 'twice'"),
        (augmenting, "augmentation layer 'mirror'"),
        (nameless, "with an automatic name"),
        (renamed, "names its weights anew in every build"),
        (three_classes, "2 classes need (1,)"),
        (colour_only, "colour only"),
        (squares_only, "reads (15, 8, 3), not the (8, 15, 3) asked for"),
        (exploding, "'conv/kernel' that are no numbers after one step"),
        (float32_only, "fails in a mixed_bfloat16 training step"),
        (bad_corner, "does not build at the search values width=9"),
        (frozen, "'head' that training does not change"),
        (raw_pixels, "feeds raw pixels 0..255 to the layer 'conv'"),
        (sharing, "shares the weights"),
        (neighbourly, "predicts an image otherwise alone than in a batch"),
        (meddling, "changes Keras' global image_data_format"),
        (mumbling, "has no docstring"),
        (gruff, "without naming the smallest size, 9 x 9"),
        (logits, "'head' without softmax"),
        (functional_initializer, "cannot be saved and read back by Keras"),
        (forgetful, "gives other outputs when Keras has saved and read it"),
    ],
)
def test_the_kit_finds_each_planted_defect(
    architecture: Any, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No defect passes, and the report says what it is."""
    monkeypatch.delitem(CHECKS, ROUND_TRIP)  # takes longest, and is to find none of them
    report = check(architecture)
    assert not report.passed
    assert any(problem in text for text in report.problems), str(report)
    assert "FAIL" in str(report)
    assert keras.config.image_data_format() == "channels_last"


def test_an_unknown_name_is_an_error_not_a_result() -> None:
    """A mistyped name is the caller's mistake."""
    with pytest.raises(UnknownArchitectureError, match="Did you mean 'resnet9'"):
        check_architecture("resnet99")


def test_a_broken_plugin_is_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin's author reads in the report why it cannot be imported."""
    monkeypatch.syspath_prepend(install(tmp_path, "absent-nets", "import nothing_like_this"))
    report = check("absent_nets")
    assert len(report.problems) == 1
    assert "No module named 'nothing_like_this'" in report.problems[0]


def test_a_report_is_its_results() -> None:
    """One problem is enough to fail."""
    report = ConformanceReport("net", (CheckResult("a", ""), CheckResult("b", "is wrong")))
    assert not report.passed
    assert report.problems == ("is wrong",)
