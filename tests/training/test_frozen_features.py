"""The promises of frozen features: the fastest engine, the same bits with and without a cache."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import imgclf
from conftest import write_images
from forked_python import ForkedPython
from imgclf.data.store import cache
from imgclf.engines import litert_conversion
from imgclf.engines.keras_network import KerasNetwork
from imgclf.training.frozen_features import compute_features, divide_network
from imgclf.training.variants import MIRRORED, PLAIN, Variant, shifted_variants
from pretrained_network import settle_averages, tiny
from unconvertible_network import unconvertible


@pytest.fixture(scope="module")
def train(two_classes: Path) -> Any:
    """Training batches; their number of images is no multiple of anything."""
    return imgclf.make_generators(two_classes, image_size=(24, 24), batch_size=16)[0]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give each test an empty cache."""
    monkeypatch.setenv("IMGCLF_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def frozen_part(shape: tuple[int, int, int] = (24, 24, 3), **options: Any) -> keras.Model:
    """The frozen part of a tiny network; equal ones are made of equal arguments."""
    model = imgclf.build_model(tiny, shape, 2, seed=0, **options)
    settle_averages(model, np.random.default_rng(1).integers(0, 256, (16, *shape), np.uint8))
    return divide_network(model).frozen


def by_keras(frozen: keras.Model, batches: Any, variant: Variant = PLAIN) -> Any:
    """What the Keras network itself makes of the images."""
    network = KerasNetwork(frozen, data_format=batches.policy.data_format)
    images = np.concatenate(list(batches.pixels()))
    return network(variant.apply(images))[0]


def entries(kind: str) -> list[Path]:
    """The cache's entries of one kind."""
    return [one.path for one in cache.list_cache() if one.path.name.startswith(f"{kind}-")]


def without_litert(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make LiteRT look as if it were not installed."""
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)


def test_features_are_those_of_keras_and_the_same_bits_from_the_cache(train: Any) -> None:
    """First run, second run, another network of the same weights, no cache: no bit differs."""
    frozen = frozen_part()
    seen: list[tuple[int, int]] = []
    first = np.array(compute_features(frozen, train, progress=lambda *one: seen.append(one)))
    assert seen[-1] == (train.num_samples, train.num_samples)
    np.testing.assert_allclose(first, by_keras(frozen, train), atol=1e-5)
    assert (len(entries("features")), len(entries("network"))) == (1, 1)
    for again in (
        compute_features(frozen, train),
        compute_features(frozen_part(), train, mode="disk"),
        compute_features(frozen_part(), train, mode="memory"),
    ):
        np.testing.assert_array_equal(again, first)


def test_images_that_were_seen_before_are_not_computed_again(train: Any) -> None:
    """A set that shares images with earlier ones computes the others alone; no bit differs."""
    frozen = frozen_part()
    part = train.some(train.num_samples // 2)
    few = np.array(compute_features(frozen, part))
    seen: list[int] = []
    every = compute_features(frozen, train, progress=lambda done, _: seen.append(done))
    assert min(seen) > part.num_samples
    np.testing.assert_array_equal(every, compute_features(frozen, train, mode="memory"))
    places = [train.file_paths.index(path) for path in part.file_paths]
    np.testing.assert_array_equal(every[places], few)
    seen.clear()
    compute_features(frozen, train, variant=MIRRORED, progress=lambda done, _: seen.append(done))
    assert min(seen) < part.num_samples, "another variant is another kind"


def test_a_neighbour_that_was_cut_off_is_not_believed(train: Any) -> None:
    """Rows come from whole entries alone."""
    frozen = frozen_part()
    compute_features(frozen, train.some(train.num_samples // 2))
    (features,) = entries("features")
    (features / "images.sha256").write_bytes(b"cut off")
    seen: list[int] = []
    every = compute_features(frozen, train, progress=lambda done, _: seen.append(done))
    assert min(seen) <= 32
    np.testing.assert_allclose(every, by_keras(frozen, train), atol=1e-5)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_grey_images_and_both_orders_of_axes(two_classes: Path, data_format: Any) -> None:
    """The features are the Keras network's, whatever it reads."""
    batches, _ = imgclf.make_generators(
        two_classes, image_size=(24, 26), channels=1, data_format=data_format
    )
    model = imgclf.build_model(tiny, batches.input_shape, 2, data_format=data_format, seed=0)
    frozen = divide_network(model).frozen
    features = compute_features(frozen, batches)
    assert features.std() > 0
    np.testing.assert_allclose(features, by_keras(frozen, batches), atol=1e-5)
    assert len(entries("network")) == 1


def test_images_that_are_not_stored_are_decoded_beside_the_engine(
    two_classes: Path, train: Any
) -> None:
    """Decoded anew, they give the same features; a file that is gone by then is named."""
    streamed, _ = imgclf.make_generators(two_classes, image_size=(24, 24), store="off")
    frozen = frozen_part()
    expected = compute_features(frozen, train, mode="memory")
    np.testing.assert_array_equal(compute_features(frozen, streamed, mode="off"), expected)
    assert cache.list_cache() == []


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    """The reading thread's error is the caller's."""
    folder = write_images(tmp_path / "images", {"a": 20, "b": 20})
    batches, _ = imgclf.make_generators(folder, image_size=(24, 24), store="off")
    Path(batches.file_paths[-1]).unlink()
    with pytest.raises(imgclf.DataError, match=r"readable when the folder was scanned"):
        compute_features(frozen_part(), batches, mode="memory")


def test_without_litert_tensorflow_computes(
    train: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says why; nothing is warned of, and what the other engine made is not taken."""
    frozen = frozen_part()
    fast = np.array(compute_features(frozen, train))
    without_litert(monkeypatch)
    caplog.set_level(logging.INFO, "imgclf")
    slow = compute_features(frozen, train)
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert "pip install ai-edge-litert" in record.getMessage()
    np.testing.assert_array_equal(slow, by_keras(frozen, train))
    np.testing.assert_allclose(slow, fast, atol=1e-5)
    assert len(entries("features")) == 2


def test_a_network_that_cannot_be_converted_is_run_by_tensorflow(
    train: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One line warns that it takes longer, and names the network; variants do not warn again."""
    frozen = unconvertible("lgamma")
    features = compute_features(frozen, train)
    np.testing.assert_array_equal(features, by_keras(frozen, train))
    compute_features(frozen, train, variant=MIRRORED)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert repr(frozen.name) in record.getMessage()
    assert (len(entries("features")), len(entries("network"))) == (2, 0)


@pytest.mark.parametrize(
    "damage", ["flipped", pytest.param("cut off", marks=pytest.mark.slow), "no hash"]
)
def test_a_damaged_network_is_converted_anew(
    train: Any, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its hash is compared before LiteRT sees it: the features stay what they were."""
    expected = np.array(compute_features(frozen_part(), train))
    ([network], [features]) = entries("network"), entries("features")
    (features / "features.f32").unlink()
    whole = (network / "network").read_bytes()
    if damage == "no hash":
        (network / "sha256").unlink()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 16]) + whole[middle + 1 :]
        (network / "network").write_bytes(flipped if damage == "flipped" else whole[:-1])
    np.testing.assert_array_equal(compute_features(frozen_part(), train), expected)
    (record,) = caplog.records
    assert "damaged" in record.getMessage()
    healed = hashlib.sha256((network / "network").read_bytes()).hexdigest()
    assert (network / "sha256").read_text() == healed


def test_a_second_process_needs_no_conversion(
    two_classes: Path, train: Any, forked_python: ForkedPython
) -> None:
    """It does not even load the converter, and computes the same bits."""
    expected = np.array(compute_features(frozen_part(), train))
    (features,) = entries("features")
    (features / "features.f32").unlink()
    script = (
        "import sys\n"
        "sys.path.extend(sys.argv[2:])\n"
        "import imgclf\n"
        "from test_frozen_features import compute_features, frozen_part\n"
        "sys.modules['imgclf.engines.litert_conversion'] = None\n"
        "train, _ = imgclf.make_generators(sys.argv[1], image_size=(24, 24), batch_size=16)\n"
        "compute_features(frozen_part(), train, mode='disk')\n"
    )
    places = [Path(__file__).parent, Path(__file__).parents[1]]
    done = forked_python.run(script, two_classes, *places, env=dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")
    again = np.fromfile(features / "features.f32", np.float32).reshape(expected.shape)
    np.testing.assert_array_equal(again, expected)


def test_a_full_disk_is_no_obstacle(
    train: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Features and network stay in memory, one line warns, and nothing half-written is left."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    expected = np.array(compute_features(frozen_part(), train, mode="memory"))
    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(os, "fsync", full)
    np.testing.assert_array_equal(compute_features(frozen_part(), train), expected)
    warned = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert len(warned) == 1
    assert "No space left" in warned[0]
    assert list(cache.cache_folder().iterdir()) == []


def test_in_memory_a_network_is_converted_once_and_nothing_is_written(
    train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All splits and variants share it, until its weights change."""
    runs = []
    real = litert_conversion.convert_to_litert
    monkeypatch.setattr(
        litert_conversion, "convert_to_litert", lambda *a, **k: runs.append(a) or real(*a, **k)
    )
    frozen = frozen_part()
    plain = compute_features(frozen, train, mode="memory")
    compute_features(frozen, train, variant=MIRRORED, mode="memory")
    assert len(runs) == 1
    assert cache.list_cache() == []
    kernel = frozen.get_layer("conv1").kernel
    kernel.assign(-1.0 * np.asarray(kernel))
    changed = compute_features(frozen, train, mode="memory")
    assert len(runs) == 2
    assert not np.allclose(changed, plain)


def test_mirrored_and_shifted_images_are_kept_beside_the_plain_ones(train: Any) -> None:
    """Each variant is an entry of its own; it holds the features of the changed images."""
    frozen = frozen_part()
    variants = (PLAIN, MIRRORED, shifted_variants((24, 24))[-1])
    rows = [np.array(compute_features(frozen, train, variant=variant)) for variant in variants]
    assert (len(entries("features")), len(entries("network"))) == (3, 1)
    for variant, features in zip(variants, rows, strict=True):
        np.testing.assert_allclose(features, by_keras(frozen, train, variant), atol=1e-5)
        np.testing.assert_array_equal(compute_features(frozen, train, variant=variant), features)
    assert not np.allclose(rows[0], rows[1], atol=1e-5)
    assert len(entries("features")) == 3


def test_variants_move_pixels_and_repeat_the_edge() -> None:
    """Mirroring comes first; what a shift leaves bare shows the nearest pixel."""
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1)
    assert MIRRORED.apply(image).ravel().tolist() == [2, 1, 0, 5, 4, 3]
    assert Variant(shift=(1, -1)).apply(image).ravel().tolist() == [1, 2, 2, 1, 2, 2]
    assert Variant(mirrored=True, shift=(0, 2)).apply(image).ravel().tolist() == [2, 2, 2, 5, 5, 5]
    np.testing.assert_array_equal(PLAIN.apply(image), image)


def test_shifted_variants_differ_and_are_the_same_each_time() -> None:
    """Four corners, two of them mirrored; even small images move by a pixel."""
    variants = shifted_variants((224, 160))
    assert variants == shifted_variants((224, 160))
    assert len({PLAIN, MIRRORED, *variants}) == 6
    assert {one.shift for one in variants} == {(14, 10), (-14, -10), (14, -10), (-14, 10)}
    assert sum(one.mirrored for one in variants) == 2
    assert all(0 not in one.shift for one in shifted_variants((8, 8)))
