"""The promises of the families that begin with pretrained weights."""

from __future__ import annotations

import hashlib
import sys
import urllib.request
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import URLError

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import imgclf
from imgclf.classifiers.bundle import read_bundle
from imgclf.classifiers.loader import load
from imgclf.cli._parameters import parse_options
from imgclf.cli.main import app
from imgclf.conformance.kit import CHECKS, Subject
from imgclf.conformance.reload import save_bundle
from imgclf.errors import (
    ArgumentError,
    BundleError,
    DataNotFoundError,
    PluginError,
    WeightsError,
)
from imgclf.zoo.builder import build_unloaded, named_weights
from imgclf.zoo.registry import load_architecture

SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def published() -> keras.Model:
    """MobileNetV3 small as `keras.applications` builds it, with weights of its own."""
    return keras.applications.MobileNetV3Small(input_shape=SHAPE, include_top=False, weights=None)


@pytest.fixture(scope="module")
def saved(published: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights, saved locally."""
    path = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    published.save_weights(path)
    return path


def save_as_published(model: keras.Model, path: Path) -> Path:
    """Write weights in the layout of the files that Keras publishes."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


def test_a_local_file_gives_its_weights_and_preprocessing_is_inside(
    published: keras.Model, saved: Path
) -> None:
    """Raw pixels in, the features of Keras' own network out; the origin is in the options."""
    model = imgclf.build_model("mobilenet_v3", SHAPE, weights=str(saved))
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), np.uint8)
    inner = keras.Model(model.inputs[0], model.get_layer("global_pooling").output)
    expected = np.asarray(published(images.astype(np.float32), training=False)).mean(axis=(1, 2))
    np.testing.assert_allclose(np.asarray(inner(images, training=False)), expected, atol=1e-5)


def test_the_layout_of_published_files_is_read(published: keras.Model, tmp_path: Path) -> None:
    """A file as Keras publishes it, taken from its cache folder, serves as well."""
    path = save_as_published(published, tmp_path / "weights_mobilenet_v3_no_top.h5")
    model = imgclf.build_model("mobilenet_v3", SHAPE, weights=str(path))
    named = named_weights(model)
    assert np.array_equal(named["conv/kernel"], published.get_layer("conv").kernel)
    assert np.array_equal(named["conv_1_bn/gamma"], published.get_layer("conv_1_bn").gamma)


def test_grey_images_go_in_as_colour_images(saved: Path) -> None:
    """A grey picture gives what the same picture in colour gives."""
    grey = imgclf.build_model("mobilenet_v3", (32, 32, 1), weights=str(saved), seed=0)
    colour = imgclf.build_model("mobilenet_v3", SHAPE, weights=str(saved), seed=0)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), np.uint8)
    np.testing.assert_allclose(
        np.asarray(grey(images, training=False)),
        np.asarray(colour(images.repeat(3, axis=-1), training=False)),
        atol=1e-6,
    )


def test_a_bundle_is_loaded_without_its_weights_file(saved: Path, tmp_path: Path) -> None:
    """Path, name and hash say where the weights came from; loading reads and fetches nothing."""
    own = tmp_path / "own.weights.h5"
    own.write_bytes(saved.read_bytes())
    content = hashlib.sha256(own.read_bytes()).hexdigest()
    path = tmp_path / "net.imgclf"
    model = imgclf.build_model("mobilenet_v3", SHAPE, 3, weights=str(own))
    save_bundle(model, path)
    own.unlink()
    again = load(path)
    kernel = named_weights(again.model)["conv/kernel"]
    assert np.array_equal(kernel, named_weights(model)["conv/kernel"])
    again.save(path)  # the origin is still known
    record = read_bundle(path).manifest.architecture
    assert record.options["weights"] == str(own)
    file = record.weights_files["weights"]
    assert (file.name, file.sha256) == ("own.weights.h5", content)
    shown = CliRunner().invoke(app, ["info", str(path)], env={"COLUMNS": "200"}).stdout
    assert f"weights of own.weights.h5, sha256 {content}" in shown


def test_without_a_network_the_message_names_the_file_and_the_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line: which file, from where, where to put it, how to give it, how to do without."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise URLError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.src.utils.file_utils, "urlretrieve", refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(keras.src.utils.file_utils.config, "keras_home", lambda: str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        imgclf.build_model("mobilenet_v3", SHAPE, weights="imagenet")
    text = str(caught.value)
    name = "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"
    assert f"The weights file {name} cannot be fetched" in text
    assert (
        f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v3/{name}" in text
    )
    assert f"put it into {tmp_path / 'models'}" in text
    assert f"weights=path/to/{name}" in text
    assert "weights=none" in text
    assert "\n" not in text
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, {}, "does not exist: check the path"),
        (b"no weights", {}, r"cannot be used .* keras\.applications\.MobileNetV3Small"),
        ("saved", {"width": 0.75}, r"cannot be used .* keras\.applications\.MobileNetV3Small"),
    ],
)
def test_an_unusable_file_is_one_line(
    saved: Path, tmp_path: Path, content: Any, options: dict[str, Any], message: str
) -> None:
    """The message names the file and whose weights would fit."""
    path = tmp_path / "given.weights.h5"
    if content is not None:
        path.write_bytes(saved.read_bytes() if content == "saved" else content)
    with pytest.raises(WeightsError, match=message) as caught:
        imgclf.build_model("mobilenet_v3", SHAPE, weights=str(path), **options)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 600


def test_the_command_line_finds_the_file_again_from_any_folder(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing file is refused before anything heavy is loaded; a path is made absolute."""
    monkeypatch.chdir(saved.parent)
    assert parse_options("mobilenet_v3", [f"weights={saved.name}"]) == {"weights": str(saved)}
    assert parse_options("mobilenet_v3", ["weights=imagenet"]) == {"weights": "imagenet"}
    with pytest.raises(DataNotFoundError, match=r"gone\.h5 does not exist"):
        parse_options("mobilenet_v3", ["weights=gone.h5"])


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v3",
        pytest.param("efficientnet_v2", marks=pytest.mark.slow),
        pytest.param("convnext", marks=pytest.mark.slow),
        pytest.param("resnet_v2", marks=pytest.mark.slow),
    ],
)
def test_the_smallest_image_is_32_pixels(name: str) -> None:
    """Below, the last map would hold less than a pixel; the message says how large is enough."""
    with pytest.raises(ArgumentError, match=f"31 x 64 pixels are too small for '{name}'.* 32 x 32"):
        imgclf.build_model(name, (31, 64, 3))
    assert "32 pixels" in imgclf.describe_architecture(name).details


def test_a_backbone_keeps_the_contract_in_short() -> None:
    """The slow tests run the whole kit on every family; this runs its heart on the smallest."""
    network = build_unloaded("mobilenet_v3", SHAPE, 3, seed=0, options={})
    loaded = load_architecture("mobilenet_v3")
    subject = Subject("mobilenet_v3", loaded, 32, 32, network, fresh_process=False)
    for title in ("it trains in float32", "a saved classifier gives the same outputs again"):
        CHECKS[title](subject)


def test_frozen_averages_run_in_inference_mode(saved: Path) -> None:
    """Batch normalisation of a frozen backbone neither uses nor learns a batch's averages."""
    from imgclf.workflow.transfer import frozen_convolutions

    model = imgclf.build_model("mobilenet_v3", SHAPE, weights=str(saved), dropout=0.0)
    images = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), np.uint8)
    before = named_weights(model)["conv_bn/moving_mean"].numpy().copy()
    with frozen_convolutions(model, True):
        trained = np.asarray(model(images, training=True))
    np.testing.assert_allclose(trained, np.asarray(model(images, training=False)), atol=1e-5)
    assert np.array_equal(named_weights(model)["conv_bn/moving_mean"], before)


def test_without_kerashub_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The family is listed and described; using it says what to install."""
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    assert "hub_resnet" in imgclf.list_architectures()
    assert imgclf.describe_architecture("hub_resnet").options
    with pytest.raises(PluginError, match=r"pip install 'imgclf\[keras-hub\]'"):
        imgclf.build_model("hub_resnet", SHAPE)


def test_kerashub_weights_saved_locally_are_read(tmp_path: Path) -> None:
    """Where KerasHub is installed, its backbone comes through the same door."""
    keras_hub = pytest.importorskip("keras_hub")
    from imgclf.architectures.hub_resnet import STAGES, _backbone

    assert set(STAGES) == {18, 34, 50}
    inner = _backbone(keras_hub.models, 18, "none")
    path = tmp_path / "hub.weights.h5"
    inner.save_weights(path)
    model = imgclf.build_model("hub_resnet", (32, 48, 1), 3, weights=str(path))
    assert model.output_shape == (None, 3)
    assert np.array_equal(
        named_weights(model)["conv1_conv/kernel"], inner.get_layer("conv1_conv").kernel
    )
    save_bundle(model, tmp_path / "hub.imgclf")
    path.unlink()
    load(tmp_path / "hub.imgclf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "keras_hub", None)
        with pytest.raises(BundleError, match=r"pip install 'imgclf\[keras-hub\]'"):
            load(tmp_path / "hub.imgclf")
