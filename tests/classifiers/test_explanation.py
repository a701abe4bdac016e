"""Explanations show where the evidence is, for every network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import imgclf
from imgclf.classifiers import explanation
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.explanation import feature_layer, grad_cam, occlusion, overlay
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import ArgumentError


@pytest.fixture(scope="module")
def cornered(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A network that tells images with a white square from those without, and its batches."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("corner")
    for name in ("plain", "square"):
        (root / name).mkdir()
        for number in range(60):
            image = rng.integers(60, 120, (32, 32, 3)).astype(np.uint8)
            if name == "square":
                top, left = rng.integers(0, 25, 2)
                image[top : top + 8, left : left + 8] = 255
            Image.fromarray(image).save(root / name / f"{number}.png")
    train, val = imgclf.make_generators(root, image_size=(32, 32), batch_size=16, augment="none")
    model = imgclf.build_model(
        "three_conv", train.input_shape, filters=16, hidden_units=16, dropout=0.0, seed=1
    )
    imgclf.fit(model, train, val, epochs=12, learning_rate=3e-3)
    return Classifier(model, train)


DEEP = {
    "convnext", "efficientnet_v2", "hub_resnet", "mobilenet_small", "mobilenet_v3", "resnet20",
    "resnet_v2", "vgg_bn",
}  # fmt: skip
"""Families of some dozen or hundred layers, which the slow tests explain."""


def _with_square(top: int, left: int) -> np.ndarray:
    image = np.random.default_rng(7).integers(60, 120, (32, 32, 3)).astype(np.uint8)
    image[top : top + 8, left : left + 8] = 255
    return image


def _heat_inside(heatmap: np.ndarray, top: int, left: int) -> float:
    """Return the share of the heat in the square and 4 pixels around it."""
    inside = heatmap[max(0, top - 4) : top + 12, max(0, left - 4) : left + 12].sum()
    return float(inside / heatmap.sum())


@pytest.mark.parametrize(("top", "left"), [(2, 2), (20, 22)])
def test_the_heat_is_where_the_evidence_is(cornered: Any, top: int, left: int) -> None:
    """Both methods put most heat where the square is that makes the class."""
    image = _with_square(top, left)
    found = cornered.explain(image)
    assert (found.label, found.method) == ("square", "grad_cam")
    assert found.heatmap.shape == (32, 32)
    assert found.heatmap.max() == pytest.approx(1)
    assert _heat_inside(found.heatmap, top, left) > 0.5
    by_hand = occlusion(lambda batch: cornered.predict_pixels([batch]), image, 1)
    assert _heat_inside(by_hand, top, left) > 0.5


@pytest.mark.parametrize(("name", "num_classes"), [
    pytest.param(name, num_classes, marks=pytest.mark.slow if name in DEEP else ())
    for name in sorted(imgclf.list_architectures())
    for num_classes in (2, 3)
])  # fmt: skip
def test_every_architecture_explains_itself(name: str, num_classes: int) -> None:
    """Grad-CAM, or occlusion, gives a finite map of the image's size for the whole zoo."""
    if name == "hub_resnet":
        pytest.importorskip("keras_hub", reason="the extra keras-hub")
    shape = (48, 48, 3)
    model = imgclf.build_model(name, shape, num_classes, seed=0)
    policy = imgclf.InputPolicy((48, 48))
    pixels = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.uint8)
    maps = grad_cam(model, policy, pixels, np.array([0, 1]))
    assert (maps is None) == (feature_layer(model) is None)
    if maps is not None:
        assert maps.shape == (2, 48, 48)
        assert np.isfinite(maps).all()
        assert 0 <= maps.min() <= maps.max() <= 1


def test_channels_first_is_explained(three_classes: Path) -> None:
    """A network that reads channels-first pixels is explained like any other."""
    train, _ = imgclf.make_generators(
        three_classes, image_size=(24, 26), data_format="channels_first"
    )
    model = imgclf.build_model(
        "three_conv", train.input_shape, 3, data_format="channels_first", filters=8, hidden_units=8
    )
    found = Classifier(model, train).explain(three_classes / "a" / "000.png", label="b")
    assert found.label == "b"
    assert found.heatmap.shape == (24, 26)
    assert found.overlay().size == (26, 24)


def test_grey_images_have_an_overlay() -> None:
    """One channel is drawn as grey under the colours."""
    picture = overlay(np.zeros((5, 7, 1), np.uint8), np.ones((5, 7), np.float32))
    assert (picture.mode, picture.size) == ("RGB", (7, 5))


def test_an_unknown_label_is_refused(trained: Any, two_classes: Path) -> None:
    """Asking for a class that does not exist names those that do."""
    with pytest.raises(ArgumentError, match="'dark', 'light'"):
        trained.classifier.explain(two_classes / "dark" / "000.png", label="purple")


@pytest.mark.parametrize("name", ["three_conv", "efficientnet_lite"])
def test_the_gradient_is_that_of_the_whole_network(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recording only what follows the maps gives the heat that recording everything gives."""
    model = imgclf.build_model(name, (48, 48, 3), 3)
    images = np.random.default_rng(0).integers(0, 256, (9, 48, 48, 3), np.uint8)
    policy, classes = InputPolicy((48, 48), 3), np.arange(9) % 3
    in_parts = explanation.grad_cam(model, policy, images, classes)
    monkeypatch.setattr(explanation, "_passes_by", lambda *_: True)
    np.testing.assert_allclose(
        in_parts, explanation.grad_cam(model, policy, images, classes), atol=1e-3
    )


def test_a_way_around_the_last_map_is_seen() -> None:
    """A network that also pools an earlier map is recorded as a whole."""
    image = keras.Input((16, 16, 3), dtype="uint8")
    early = keras.layers.Conv2D(4, 3, name="early")(keras.layers.Rescaling(1 / 255)(image))
    late = keras.layers.Conv2D(4, 3, name="late")(early)
    pools = [keras.layers.GlobalAveragePooling2D()(maps) for maps in (early, late)]
    for vector, expected in ((pools[1], False), (keras.layers.Concatenate()(pools), True)):
        outputs = keras.layers.Dense(3, activation="softmax", name="head")(vector)
        model = keras.Model(image, outputs)
        assert explanation._passes_by(model.layers[-1].input, late) is expected
        pixels = np.zeros((2, 16, 16, 3), np.uint8)
        heat = explanation.grad_cam(model, InputPolicy((16, 16), 3), pixels, np.array([0, 1]))
        assert heat is not None
        assert heat.shape == (2, 16, 16)
