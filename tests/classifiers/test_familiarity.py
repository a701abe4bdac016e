"""Images unlike the training images are flagged; the figure means what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import imgclf
from imgclf.classifiers.bundle import read_bundle, write_bundle
from imgclf.classifiers.familiarity import (
    CENTRES_PER_CLASS,
    Familiarity,
    LayerStatistics,
    fit_familiarity,
)
from imgclf.cli.main import app
from imgclf.engines.features import feature_tensors
from imgclf.errors import BundleError

CENTRES = np.array([[0, 0, 4], [5, 0, 4], [0, 9, 4]], np.float32)
SPREADS = np.array([1, 0.1, 3], np.float32)


def draw(count: int, seed: int) -> tuple[Any, Any]:
    """Draw features of three classes, spread more in some directions than in others."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    return (CENTRES[labels] + SPREADS * rng.normal(size=(count, 3))).astype(np.float32), labels


def fit(num_val: int = 4000, layers: int = 1) -> Familiarity:
    """Fit on drawn features."""
    train, labels = draw(3000, 0)
    val, _ = draw(num_val, 1)
    fitted = fit_familiarity([train] * layers, labels, [val] * layers, 3)
    assert fitted is not None
    return fitted


def layer_of(familiarity: Familiarity, index: int) -> LayerStatistics:
    """Return the statistics of one layer."""
    assert isinstance(familiarity.told_by, tuple)
    return familiarity.told_by[index]


def num_layers(familiarity: Familiarity) -> int:
    """Count the layers that are asked."""
    assert isinstance(familiarity.told_by, tuple)
    return len(familiarity.told_by)


def test_the_distance_is_that_to_the_nearest_centre() -> None:
    """A layer's distance is the smallest to the classes' centres, in units of the spreads."""
    train, _ = draw(3000, 0)
    layer = layer_of(fit(), 0)
    assert layer.centres.shape == (3 * CENTRES_PER_CLASS, 3)
    offset, spread = train.mean(axis=0), train.std(axis=0)
    points, _ = draw(50, 2)
    gaps = ((points - offset) / spread)[:, None] - layer.centres
    found = np.exp(layer.log_distances(points))
    assert found == pytest.approx((gaps**2).sum(axis=2).min(axis=1), rel=1e-3, abs=1e-6)


def test_centres_lie_amid_their_images() -> None:
    """Each group of images has the centre that is its mean; fewer images than centres suffice."""
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0], [0, 50], [50, 0], [50, 50]], np.float32)
    train = (np.repeat(corners, 30, axis=0) + rng.normal(size=(120, 2))).astype(np.float32)
    fitted = fit_familiarity([train], np.zeros(120, np.int64), [train], 1)
    assert fitted is not None
    layer = layer_of(fitted, 0)
    found = layer.centres / layer.scale + layer.offset
    for corner in corners:
        assert np.linalg.norm(found - corner, axis=1).min() < 1
    assert fit_familiarity([train[:2]], np.zeros(2, np.int64), [train], 1) is not None


def test_the_last_layers_are_not_asked() -> None:
    """Of four layers the first two are kept: the last ones know only what tells classes apart."""
    assert [num_layers(fit(layers=count)) for count in (1, 2, 3, 4)] == [1, 1, 1, 2]


def test_the_figure_is_a_share_of_validation_images() -> None:
    """Of new images of the same kind, about a share x has a familiarity below x."""
    fitted = fit(layers=2)
    found = fitted.measure([draw(20_000, 3)[0]] * 2)
    for share in (0.01, 0.05, 0.5, 0.9):
        assert (found < share).mean() == pytest.approx(share, abs=0.015)
    assert found.min() >= 0
    assert found.max() <= 1


def test_strange_images_are_flagged() -> None:
    """What lies far from every class in any direction has no familiarity; the classes have."""
    fitted = fit()
    strange = np.array([[0, 0, 40], [14, 9, 4], [-12, 0, 4]], np.float32)
    assert fitted.measure([strange]).max() < 0.001
    assert fitted.measure([CENTRES]).min() > 0.2


def test_silent_and_many_features() -> None:
    """Features that never change divide nothing; of very many, 512 are looked at."""
    rng = np.random.default_rng(0)
    train, labels = rng.normal(size=(300, 1400)).astype(np.float32), rng.integers(0, 2, 300)
    train[:, ::2] = 7
    fitted = fit_familiarity([train], labels, [train[:40]], 2)
    assert fitted is not None
    assert layer_of(fitted, 0).centres.shape == (2 * CENTRES_PER_CLASS, 512)
    assert np.isfinite(fitted.measure([train])).all()


def test_what_cannot_be_measured_is_not_kept() -> None:
    """Without layers, or with features that are not finite, nothing is known."""
    train, labels = draw(30, 0)
    assert fit_familiarity([], labels, [], 3) is None
    train[3] = np.nan
    assert fit_familiarity([train], labels, [train], 3) is None


def test_it_survives_its_tensors_and_refuses_others() -> None:
    """Read back, it measures the same to the last bit; tensors of another network are refused."""
    fitted = fit(layers=4)
    tensors = fitted.to_tensors()
    again = Familiarity.from_tensors(tensors, [3, 3, 3, 3], 3)
    points = [draw(100, 4)[0]] * 4
    assert (again.measure(points) == fitted.measure(points)).all()
    wrong = [
        (tensors, [3]),
        (tensors, [3, 2, 3, 3]),
        ({**tensors, "0/columns": tensors["0/columns"] - 1}, [3] * 4),
        ({**tensors, "1/log_distance": np.zeros(2, np.float32)}, [3] * 4),
        ({**tensors, "validation_scores": np.zeros(0, np.float32)}, [3] * 4),
        ({**tensors, "0/offset": tensors["0/offset"].astype(np.float64)}, [3] * 4),
        ({**tensors, "0/centres": np.zeros((0, 3), np.float32)}, [3] * 4),
        ({**tensors, "0/centres": np.zeros((), np.float32)}, [3] * 4),
        ({**tensors, "0/centres": np.zeros((13, 3), np.float32)}, [3] * 4),
        ({**tensors, "0/columns": np.zeros((), np.int64)}, [3] * 4),
        ({**tensors, "validation_scores": tensors["validation_scores"][::-1]}, [3] * 4),
    ]
    for changed, sizes in wrong:
        with pytest.raises(ValueError, match=r"\w"):
            Familiarity.from_tensors(changed, sizes, 3)


DEEP = {
    "convnext", "efficientnet_v2", "hub_resnet", "mobilenet_small", "resnet20", "resnet_v2",
    "vgg_bn",
}  # fmt: skip
"""Families of some dozen or hundred layers, of which the others stand for every run."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in DEEP else ())
        for name in imgclf.list_architectures()
    ],
)
def test_every_architecture_has_features(name: str) -> None:
    """The last features are what the head reads; before them stand maps, the largest first."""
    if name == "hub_resnet":
        pytest.importorskip("keras_hub", reason="the extra keras-hub")
    model = imgclf.build_model(name, (48, 48, 3), 3)
    *maps, vector = feature_tensors(model)
    assert vector.shape == model.get_layer("head").input.shape
    sides = [tensor.shape[1] for tensor in maps]
    assert maps
    assert sides == sorted(set(sides), reverse=True)


def test_features_are_those_of_the_same_pass(trained: Any) -> None:
    """Asking for familiarity changes no probability; features equal a network cut off there."""
    clf = trained.classifier
    pixels = next(iter(trained.data.test.pixels()))
    probabilities, familiarity = clf.judge_pixels([pixels])
    assert (probabilities == clf.predict_pixels([pixels])).all()
    assert familiarity.shape == (len(pixels),)
    features = clf.features([pixels])
    assert [values.shape[1] for values in features] == clf.feature_sizes
    cut = keras.Model(clf.model.inputs[0], clf.model.get_layer("head").input)
    assert features[-1] == pytest.approx(cut(pixels, training=False).numpy(), abs=1e-4)


def test_a_training_learns_it(trained: Any, two_classes: Path, tmp_path: Path) -> None:
    """Validation images are kept, stripes are flagged; saved and loaded, nothing changes."""
    clf = trained.classifier
    _, familiarity = clf.judge_pixels(trained.data.val.pixels())
    assert (familiarity >= 0.05).mean() >= 0.95
    stripes = np.zeros((24, 24, 3), np.uint8)
    stripes[:, ::2] = (255, 0, 255)
    again = imgclf.load(clf.save(tmp_path / "again.imgclf"))
    for one in (clf, again):
        (odd,) = one.predict(stripes)
        assert odd.unfamiliar
        assert odd.familiarity == 0
    assert clf.predict(two_classes) == again.predict(two_classes)
    assert trained.evaluation.num_unfamiliar < 0.5 * len(trained.evaluation.paths)


def test_a_bundle_without_it_flags_nothing(bundle: Path, tmp_path: Path) -> None:
    """The member is optional: without it predictions are the same and nothing is flagged."""
    content = read_bundle(bundle)
    manifest = content.manifest.as_dict()
    del manifest["format"], manifest["members"]
    plain = tmp_path / "plain.imgclf"
    write_bundle(plain, manifest, content.weights, content.probe, network=content.network)
    image = np.full((24, 24, 3), 9, np.uint8)
    (without,), (with_it,) = (imgclf.load(path).predict(image) for path in (plain, bundle))
    assert without.familiarity is None
    assert not without.unfamiliar
    assert without.probabilities == with_it.probabilities


def test_a_forged_member_is_refused(bundle: Path, tmp_path: Path) -> None:
    """Statistics that do not fit the network are refused when the bundle is loaded."""
    content = read_bundle(bundle)
    manifest = content.manifest.as_dict()
    del manifest["format"], manifest["members"]
    forged = tmp_path / "forged.imgclf"
    tensors = {**(content.familiarity or {}), "extra": np.zeros(1, np.float32)}
    write_bundle(forged, manifest, content.weights, content.probe, None, tensors)
    with pytest.raises(BundleError, match="familiarity has other tensors"):
        imgclf.load(forged)


def test_the_command_line_says_unfamiliar(bundle: Path, tmp_path: Path) -> None:
    """Table, JSON and CSV of `predict` flag a strange image."""
    stripes = np.zeros((24, 24, 3), np.uint8)
    stripes[:, ::2] = (255, 0, 255)
    Image.fromarray(stripes).save(tmp_path / "stripes.png")

    def run(*flags: str) -> str:
        arguments = ["predict", str(bundle), str(tmp_path / "stripes.png"), *flags]
        done = CliRunner().invoke(app, arguments, color=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "unfamiliar" in run()
    (record,) = json.loads(run("--json"))
    assert record["unfamiliar"] is True
    assert record["familiarity"] == 0
    header, row = run("--csv").splitlines()
    assert row.split(",")[header.split(",").index("familiarity")] == "0.0"
