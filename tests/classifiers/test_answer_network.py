"""A classifier's file answers without TensorFlow, as the Keras network in it does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import imgclf
from imgclf.classifiers import answer_network, loader
from imgclf.classifiers.answer_network import answer_model, convert_answers
from imgclf.classifiers.bundle import read_bundle
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.lazy_model import LazyModel
from imgclf.classifiers.loader import load
from imgclf.classifiers.record import ClassifierRecord
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.engines.litert import LiteRtNetwork
from imgclf.engines.litert_conversion import convert_to_litert
from imgclf.errors import BundleError, EngineError
from imgclf.training.frozen_features import compute_features, divide_network
from sealed_bundles import forge, members_of, seal

HEAVY = ("tensorflow", "keras", "cv2", "keras_tuner")


def test_the_engines_agree_to_the_last_image(bundle: Path, two_classes: Path) -> None:
    """The same labels and flags for every image, and probabilities within 1e-5."""
    by_litert, by_keras = load(bundle), load(bundle, engine="keras")
    assert (by_litert.engine, by_keras.engine) == ("litert", "keras")
    pairs = list(zip(by_litert.predict(two_classes), by_keras.predict(two_classes), strict=True))
    assert all(ours.label == theirs.label for ours, theirs in pairs)
    assert all(ours.unfamiliar == theirs.unfamiliar for ours, theirs in pairs)
    assert max(abs(ours.probability - theirs.probability) for ours, theirs in pairs) < 1e-5


def test_what_a_training_prints_is_what_its_file_answers(trained: Any) -> None:
    """The figures come from the engine that will answer: equal to the last bit."""
    assert trained.classifier.engine == "litert"
    again = imgclf.evaluate(load(trained.bundle), trained.data.test)
    np.testing.assert_array_equal(again.probabilities, trained.evaluation.probabilities)


def test_predict_and_evaluate_import_no_tensorflow(bundle: Path, two_classes: Path) -> None:
    """From Python and from the command line, for one photo and for a folder."""
    image = next(path for path in sorted(two_classes.rglob("*")) if path.is_file())
    script = f"""
import sys
import imgclf
from imgclf.cli.main import run

clf = imgclf.load({str(bundle)!r})
assert clf.predict({str(image)!r})[0].label
for command in (["predict", {str(bundle)!r}, {str(image)!r}],
                ["evaluate", {str(bundle)!r}, {str(two_classes)!r}, "--all"]):
    sys.argv = ["imgclf", *command]
    try:
        run()
    except SystemExit as end:
        assert not end.code, end.code
    loaded = [name for name in ("tensorflow", "keras", "keras_tuner") if name in sys.modules]
    assert not loaded, (command, loaded)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Accuracy" in done.stdout


def test_a_folder_of_one_size_or_many_gives_the_same_bits(bundle: Path) -> None:
    """An image's answer does not depend on what lies beside it, nor on the threads."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 24, 24, 3), np.uint8)
    together = load(bundle).predict_pixels([pixels])
    alone = load(bundle, num_threads=1).predict_pixels(iter(pixels[:, np.newaxis]))
    np.testing.assert_array_equal(together, alone)
    assert load(bundle).predict_pixels([]).shape == (0, 2)


def test_the_keras_network_is_built_when_it_is_needed(bundle: Path, tmp_path: Path) -> None:
    """Heat maps and saving need it; it gives what LiteRT gives, and can be saved again."""
    clf = load(bundle)
    assert not clf.record.network.is_built
    image = np.full((24, 24, 3), 90, np.uint8)
    assert clf.explain(image).label == clf.predict(image)[0].label
    assert clf.record.network.is_built
    again = load(clf.save(tmp_path / "again.imgclf"))
    assert again.predict(image) == clf.predict(image)


def test_a_file_of_format_1_answers_by_keras(bundle: Path, tmp_path: Path) -> None:
    """Files without a network for LiteRT stay readable; asked for LiteRT, they say what to do."""
    members = members_of(bundle)
    manifest = json.loads(members["manifest.json"])
    del members["network.tflite"], manifest["members"]["network.tflite"]
    members["manifest.json"] = json.dumps({**manifest, "format": 1}).encode()
    old = tmp_path / "old.imgclf"
    old.write_bytes(seal(members))
    clf = load(old)
    assert clf.engine == "keras"
    image = np.full((24, 24, 3), 90, np.uint8)
    expected = load(bundle).predict(image)[0]
    assert clf.predict(image)[0].probability == pytest.approx(expected.probability, abs=1e-5)
    with pytest.raises(BundleError, match="no network for LiteRT: load it with engine='keras'"):
        load(old, engine="litert")
    assert load(clf.save(tmp_path / "new.imgclf")).engine == "litert"


def test_without_litert_keras_answers(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a platform that has no LiteRT every file works; asking for it is one line."""

    def missing() -> str:
        raise EngineError("LiteRT cannot be loaded.")

    monkeypatch.setattr(loader, "litert_version", missing)
    assert load(bundle).engine == "keras"
    with pytest.raises(EngineError, match="LiteRT"):
        load(bundle, engine="litert")


@cache
def other_network(side: int, num_classes: int) -> bytes:
    """Return a sound network that belongs to another classifier."""
    return convert_to_litert(
        imgclf.build_model("three_conv", (side, side, 3), num_classes, filters=8, hidden_units=8)
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: b"", "cannot be run by LiteRT"),
        (lambda: b"TFL3" * 100, "cannot be run by LiteRT"),
        (lambda: other_network(32, 2), "turns images"),
        (lambda: other_network(24, 3), "turns images"),
        (lambda: other_network(24, 2), "is damaged"),
        (lambda: other_network(24, 2).replace(b"image", b"\x95mage"), "cannot be run by LiteRT"),
    ],
)
def test_a_network_that_is_not_the_classifiers_is_refused(
    content: Callable[[], bytes], reason: str, bundle: Path, tmp_path: Path
) -> None:
    """Damaged, or another one, in a file whose hashes are right: one line, whatever the engine."""
    forged = forge(bundle, tmp_path / "forged.imgclf", network=content())
    with pytest.raises(BundleError, match=reason):
        load(forged)
    assert load(forged, engine="keras").engine == "keras"


def test_the_file_has_the_weights_of_the_moment(tmp_path: Path, two_classes: Path) -> None:
    """A network that was trained on after its conversion is converted again when it is saved."""
    train, _ = imgclf.make_generators(two_classes, image_size=(24, 24))
    model = imgclf.build_model("three_conv", train.input_shape, filters=8, hidden_units=8)
    clf = Classifier(model, train).as_saved()
    head = model.get_layer("head")
    head.set_weights([weight + 1 for weight in head.get_weights()])
    file = clf.save(tmp_path / "later.imgclf")
    assert clf.predict(two_classes) != load(file).predict(two_classes)
    assert Classifier(model, train).as_saved().predict(two_classes) == load(file).predict(
        two_classes
    )


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_backbone_that_made_features_is_not_converted_again(
    num_classes: int, two_classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head alone is written into its file, and answers as the network as a whole."""
    train, _ = imgclf.make_generators(two_classes, image_size=(32, 32))
    model = imgclf.build_model("efficientnet_lite", train.input_shape, num_classes, seed=0)
    policy = train.policy
    compute_features(divide_network(model).frozen, train, mode="memory")
    pixels = next(iter(train.pixels()))
    expected = LiteRtNetwork(convert_to_litert(answer_model(model, policy, mirrored=False)))(pixels)
    monkeypatch.setattr(answer_network, "convert_to_litert", None)
    found = LiteRtNetwork(convert_answers(model, policy, mirrored=False))(pixels)
    assert [one.shape for one in found] == [one.shape for one in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    kernel = model.get_layer("stem_conv").kernel
    kernel.assign(-1.0 * np.asarray(kernel))
    with pytest.raises(TypeError):  # Other weights: the whole network has to be converted.
        convert_answers(model, policy, mirrored=False)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_mirrored_answers_are_in_the_network(data_format: Any, tmp_path: Path) -> None:
    """The mean over an image and its mirror image is computed inside, features are the image's."""
    policy = InputPolicy((24, 28), 3, data_format=data_format)
    model = imgclf.build_model(
        "three_conv", policy.input_shape, 3, data_format=data_format, filters=8, hidden_units=8
    )
    record = ClassifierRecord(
        network=LazyModel(model), class_names=["a", "b", "c"], policy=policy, mirrored=True
    )
    by_keras = Classifier.of(record)
    by_litert = load(by_keras.save(tmp_path / "mirrored.imgclf"))
    assert by_litert.engine == "litert"
    pixels = np.random.default_rng(0).integers(0, 256, (3, *policy.pixel_shape), np.uint8)
    np.testing.assert_allclose(
        by_litert.predict_pixels([pixels]), by_keras.predict_pixels([pixels]), atol=1e-6
    )
    flipped = np.ascontiguousarray(pixels[:, :, ::-1])
    np.testing.assert_allclose(
        by_litert.predict_pixels([flipped]), by_keras.predict_pixels([pixels]), atol=1e-6
    )
    pairs = zip(by_litert.features([pixels]), by_keras.features([pixels]), strict=True)
    assert all(np.allclose(ours, theirs, atol=1e-4) for ours, theirs in pairs)


class Angle(keras.layers.Layer):
    """A layer that LiteRT does not know."""

    def call(self, values: Any) -> Any:
        import tensorflow as tf

        return tf.math.lgamma(values + 1.0)


def angular(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """A network with such a layer."""
    image = keras.Input(input_shape, dtype="uint8", name="image")
    vector = keras.layers.GlobalAveragePooling2D(name="pooling")(
        keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    )
    outputs = keras.layers.Dense(num_classes, activation="softmax", name="head")(
        Angle(name="angle")(vector)
    )
    return keras.Model(image, outputs)


def test_a_network_that_litert_does_not_know_stays_with_keras(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is saved all the same, says so, and answers by Keras."""
    model = imgclf.build_model(angular, (24, 24, 3), 3)
    record = ClassifierRecord(
        network=LazyModel(model), class_names=["a", "b", "c"], policy=InputPolicy((24, 24), 3)
    )
    clf = Classifier.of(record).as_saved()
    assert clf.engine == "keras"
    file = clf.save(tmp_path / "angular.imgclf")
    assert "TensorFlow will answer" in caplog.text
    assert read_bundle(file).network is None
    again = load(file, architecture=angular)
    assert again.engine == "keras"
    pixels = np.zeros((1, 24, 24, 3), np.uint8)
    np.testing.assert_allclose(again.predict_pixels([pixels]), clf.predict_pixels([pixels]))


def test_a_heat_map_brings_no_notes_of_tensorflow(bundle: Path) -> None:
    """TensorFlow is imported when it is first needed, and prints nothing then either."""
    script = (
        f"import imgclf, numpy; clf = imgclf.load({str(bundle)!r})\n"
        "clf.explain(numpy.zeros((24, 24, 3), numpy.uint8)); clf.to_bytes()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
