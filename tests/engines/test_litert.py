"""The promises of LiteRT: the same answers as Keras, to the bit in any batch, and no TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import imgclf
from imgclf.engines.features import feature_tensors
from imgclf.engines.fingerprint import network_fingerprint
from imgclf.engines.keras_network import KerasNetwork
from imgclf.engines.litert import LiteRtNetwork
from imgclf.engines.litert_conversion import convert_to_litert
from imgclf.errors import ArgumentError, EngineError
from pretrained_network import settle_averages, tiny
from unconvertible_network import unconvertible

IMAGES = np.random.default_rng(0).integers(0, 256, (33, 32, 32, 3), np.uint8)


def with_features(model: keras.Model) -> keras.Model:
    """A network that gives its features beside its probabilities."""
    return keras.Model(model.inputs[0], [model.outputs[0], *feature_tensors(model)])


def built(name: str, shape: tuple[int, int, int] = (32, 32, 3), **options: Any) -> keras.Model:
    """A network with random weights whose batch normalisation is that of a trained one."""
    model = imgclf.build_model(name, shape, 3, seed=0, **options)
    settle_averages(model, IMAGES[:16, ..., : shape[2]])
    return with_features(model)


@pytest.fixture(scope="module")
def mobilenet() -> tuple[keras.Model, bytes]:
    """A network of many layers, and what it is converted to."""
    model = built("mobilenet_small", filters=8)
    return model, convert_to_litert(model)


@pytest.fixture(scope="module")
def three_conv() -> tuple[keras.Model, bytes]:
    """A network whose maps are flattened, and what it is converted to."""
    model = built("three_conv", filters=8)
    return model, convert_to_litert(model)


@pytest.fixture(params=["mobilenet", "three_conv"])
def converted(request: pytest.FixtureRequest) -> tuple[keras.Model, bytes]:
    """Each of both networks in turn."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def test_a_converted_network_gives_what_keras_gives(converted: tuple[keras.Model, bytes]) -> None:
    """All outputs, in their order, agree to 3e-5 of the largest value."""
    model, content = converted
    expected, found = KerasNetwork(model)(IMAGES), LiteRtNetwork(content)(IMAGES)
    assert len(found) == len(model.outputs) > 2
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == np.float32
        assert theirs.std() > 0
        np.testing.assert_allclose(ours, theirs, atol=3e-5 * max(1, np.abs(theirs).max()), rtol=0)


def test_an_image_gives_the_same_bits_in_any_batch_on_any_number_of_threads(
    converted: tuple[keras.Model, bytes],
) -> None:
    """What lies beside it changes nothing, nor how many threads compute."""
    network, alone = LiteRtNetwork(converted[1]), LiteRtNetwork(converted[1], num_threads=1)
    together = network(IMAGES[:32])
    one_by_one = [alone(IMAGES[place : place + 1]) for place in range(32)]
    for ours, theirs in zip(together, zip(*one_by_one, strict=True), strict=True):
        np.testing.assert_array_equal(ours, np.concatenate(theirs))
    np.testing.assert_array_equal(network(IMAGES[:0])[0].shape, (0, 3))


def test_two_threads_run_one_network_at_once(mobilenet: tuple[keras.Model, bytes]) -> None:
    """Each gets the answers to its own images."""
    network = LiteRtNetwork(mobilenet[1])
    halves = [IMAGES[:15], IMAGES[15:]]
    expected = [network(half)[0] for half in halves]
    answers: dict[int, list[Any]] = {}

    def ask(which: int) -> None:
        answers[which] = [network(halves[which])[0] for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for which, right in enumerate(expected):
        assert all(np.array_equal(answer, right) for answer in answers[which])


def test_grey_images_are_read() -> None:
    """One channel is enough."""
    model = built("three_conv", (32, 32, 1), filters=8)
    grey = IMAGES[..., :1]
    network = LiteRtNetwork(convert_to_litert(model))
    assert network.image_shape == (32, 32, 1)
    np.testing.assert_allclose(network(grey)[0], KerasNetwork(model)(grey)[0], atol=1e-5)


def test_a_channels_first_network_reads_channels_last_images_too() -> None:
    """The contract knows one order of axes, whatever the network's own."""
    images = IMAGES[:5, :, :30]
    model = imgclf.build_model(tiny, (3, 32, 30), 2, data_format="channels_first", seed=0)
    expected = np.asarray(model(images.transpose(0, 3, 1, 2), training=False))
    content = convert_to_litert(model, data_format="channels_first")
    network = LiteRtNetwork(content)
    assert network.image_shape == (32, 30, 3)
    np.testing.assert_allclose(network(images)[0], expected, atol=1e-5)
    by_keras = KerasNetwork(model, data_format="channels_first")
    assert by_keras.image_shape == (32, 30, 3)
    np.testing.assert_allclose(by_keras(images)[0], expected, atol=1e-5)


def test_what_is_no_network_is_refused_in_one_line() -> None:
    """Foreign bytes, and an empty file, are named as such."""
    for content in (b"", b"no network", bytes(1000)):
        with pytest.raises(EngineError, match=r"cannot be run by LiteRT .*: convert it again") as e:
            LiteRtNetwork(content)
        assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "images",
    [IMAGES[:2, :31], IMAGES[:2].astype(np.float32), IMAGES[0]],
    ids=["another size", "another type", "a single image"],
)
def test_other_images_are_refused(three_conv: tuple[keras.Model, bytes], images: Any) -> None:
    """The message says what was given and what is accepted, on every engine alike."""
    model, content = three_conv
    for network in (LiteRtNetwork(content), KerasNetwork(model)):
        with pytest.raises(ArgumentError, match=r"give uint8 .*each image \(32, 32, 3\)"):
            network(images)


@pytest.mark.parametrize(
    ("function", "message"),
    [("bessel_i0", "cannot be converted for LiteRT"), ("lgamma", "for LiteRT, does not run")],
)
def test_a_network_that_cannot_be_converted_is_named_in_one_line(
    capfd: pytest.CaptureFixture[str], function: str, message: str
) -> None:
    """The converter's own pages of text are not printed."""
    with pytest.raises(EngineError, match=message) as error:
        convert_to_litert(unconvertible(function))
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_a_conversion_that_answers_differently_is_refused(
    monkeypatch: pytest.MonkeyPatch, three_conv: tuple[keras.Model, bytes]
) -> None:
    """A file without the network's weights, which the converter may write, goes no further."""
    model, _ = three_conv
    real = LiteRtNetwork.__call__
    monkeypatch.setattr(
        LiteRtNetwork, "__call__", lambda *args: [rows * 1.001 for rows in real(*args)]
    )
    with pytest.raises(EngineError, match="converted for LiteRT, differs by"):
        convert_to_litert(model)


def test_a_fingerprint_is_of_what_a_network_computes() -> None:
    """Names do not count; weights, outputs and the way through the layers do."""
    model, same = (imgclf.build_model(tiny, (24, 24, 3), 2, seed=0) for _ in range(2))
    fingerprint = network_fingerprint(model)
    assert network_fingerprint(same) == fingerprint
    other = keras.Model(model.inputs[0], [model.outputs[0], model.get_layer("pooling").output])
    swapped = keras.Model(model.inputs[0], other.outputs[::-1])
    retrained = imgclf.build_model(tiny, (24, 24, 3), 2, seed=1)
    all_of_them = {network_fingerprint(one) for one in (model, other, swapped, retrained)}
    assert len(all_of_them) == 4


def test_running_needs_no_tensorflow(tmp_path: Path, three_conv: tuple[keras.Model, bytes]) -> None:
    """A process that only runs converted networks loads neither TensorFlow nor Keras, quietly."""
    (tmp_path / "network").write_bytes(three_conv[1])
    np.save(tmp_path / "images.npy", IMAGES[:4])
    script = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from imgclf.engines.litert import LiteRtNetwork\n"
        "import imgclf.engines.network_store\n"
        "network = LiteRtNetwork(Path('network').read_bytes())\n"
        "np.save('answers.npy', network(np.load('images.npy'))[0])\n"
        "assert not {'tensorflow', 'keras', 'PIL', 'cv2'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    answers = LiteRtNetwork(three_conv[1])(IMAGES[:4])[0]
    np.testing.assert_array_equal(np.load(tmp_path / "answers.npy"), answers)
