"""The promises of ONNX Runtime and OpenVINO as engines: LiteRT's answers, without TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import imgclf
from imgclf.cli.main import app
from imgclf.engines.contract import AnswerNetwork
from imgclf.engines.features import feature_tensors
from imgclf.engines.keras_network import KerasNetwork
from imgclf.engines.onnx_conversion import convert_to_onnx
from imgclf.engines.onnx_runtime import OnnxNetwork
from imgclf.engines.openvino_runtime import OpenVinoNetwork
from imgclf.errors import ArgumentError, EngineError
from pretrained_network import settle_averages, tiny

IMAGES = np.random.default_rng(0).integers(0, 256, (33, 32, 32, 3), np.uint8)
NETWORKS = (OnnxNetwork, OpenVinoNetwork)
ENGINES: tuple[Literal["onnx", "openvino"], ...] = ("onnx", "openvino")
PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}


@pytest.fixture(scope="module")
def mobilenet() -> tuple[keras.Model, bytes]:
    """A network of many layers, with its features beside its answers, and its ONNX."""
    model = imgclf.build_model("mobilenet_small", (32, 32, 3), 3, seed=0, filters=8)
    settle_averages(model, IMAGES[:16])
    whole = keras.Model(model.inputs[0], [model.outputs[0], *feature_tensors(model)[-1:]])
    return whole, convert_to_onnx(whole, ["probabilities", "features"]).SerializeToString()


@pytest.mark.parametrize("make", NETWORKS)
def test_a_converted_network_gives_what_keras_gives(
    mobilenet: tuple[keras.Model, bytes], make: type[Any]
) -> None:
    """Answers and features, in their order, agree to 3e-5 of the largest value."""
    expected, found = KerasNetwork(mobilenet[0])(IMAGES), make(mobilenet[1])(IMAGES)
    assert len(found) == len(expected) == 2
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == np.float32
        assert theirs.std() > 0
        np.testing.assert_allclose(ours, theirs, atol=3e-5 * max(1, np.abs(theirs).max()), rtol=0)


@pytest.mark.parametrize("make", NETWORKS)
def test_an_image_gives_the_same_bits_in_any_batch_on_any_number_of_threads(
    mobilenet: tuple[keras.Model, bytes], make: type[Any]
) -> None:
    """What lies beside it changes nothing, nor how many threads compute or ask."""
    network: AnswerNetwork = make(mobilenet[1], num_threads=2)
    alone: AnswerNetwork = make(mobilenet[1], num_threads=1)
    together = network(IMAGES)
    one_by_one = [alone(IMAGES[place : place + 1]) for place in range(len(IMAGES))]
    for ours, theirs in zip(together, zip(*one_by_one, strict=True), strict=True):
        np.testing.assert_array_equal(ours, np.concatenate(theirs))
    halves, answers = [IMAGES[:15], IMAGES[15:]], {}

    def ask(which: int) -> None:
        answers[which] = [network(halves[which])[0] for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for which, right in enumerate((together[0][:15], together[0][15:])):
        assert all(np.array_equal(answer, right) for answer in answers[which])
    assert [rows.shape for rows in network(IMAGES[:0])] == [
        (0, size) for size in network.output_sizes
    ]


@pytest.mark.parametrize("make", NETWORKS)
def test_a_channels_first_network_reads_channels_last_images(make: type[Any]) -> None:
    """The contract knows one order of axes, whatever the network's own; others are refused."""
    images = IMAGES[:5, :, :30]
    model = imgclf.build_model(tiny, (3, 32, 30), 2, data_format="channels_first", seed=0)
    expected = np.asarray(model(images.transpose(0, 3, 1, 2), training=False))
    content = convert_to_onnx(model, ["answers"], data_format="channels_first")
    network: AnswerNetwork = make(content.SerializeToString())
    assert network.image_shape == (32, 30, 3)
    np.testing.assert_allclose(network(images)[0], expected, atol=1e-5)
    with pytest.raises(ArgumentError, match="are not accepted"):
        network(IMAGES)


@pytest.mark.parametrize("make", NETWORKS)
def test_what_is_no_network_is_refused_in_one_line(make: type[Any]) -> None:
    """Foreign bytes, and an empty file, are named as such."""
    for content in (b"", b"no network", bytes(1000)):
        with pytest.raises(EngineError, match="The network cannot be run by O") as caught:
            make(content)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", NETWORKS)
def test_a_fork_is_refused(
    mobilenet: tuple[keras.Model, bytes], make: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was forked after the network was made lacks its threads, and would hang."""
    network: AnswerNetwork = make(mobilenet[1])
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(EngineError, match=r"was forked after O.* load the classifier after"):
        network(IMAGES)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_classifier_answers_alike_by_every_engine(
    bundle: Path, two_classes: Path, engine: Literal["onnx", "openvino"]
) -> None:
    """Labels, probabilities to 1e-5, and what is unfamiliar; the file that it saves is the same."""
    classifier = imgclf.load(bundle, engine=engine)
    assert classifier.engine == engine
    photos = sorted(two_classes.rglob("*.png"))[:12]
    assert photos
    expected = imgclf.load(bundle, engine="litert").predict(photos)
    found = classifier.predict(photos)
    assert [one.label for one in found] == [one.label for one in expected]
    assert [one.unfamiliar for one in found] == [one.unfamiliar for one in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-5)
    assert "computed by" in classifier._repr_html_()
    assert imgclf.load(classifier.to_bytes()).predict(photos) == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_the_second_answer_needs_no_tensorflow(
    bundle: Path, engine: str, two_classes: Path
) -> None:
    """The converted network is cached: later processes import neither TensorFlow nor Keras."""
    imgclf.load(bundle, engine=engine)  # type: ignore[arg-type]
    photo = next(two_classes.rglob("*.png"))
    code = (
        "import sys, imgclf; "
        f"print(imgclf.load({str(bundle)!r}, engine={engine!r}).predict({str(photo)!r})[0].label); "
        "print({'tensorflow', 'keras', 'tf2onnx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "set()", done.stdout


@pytest.mark.parametrize("engine", ENGINES)
def test_a_missing_package_is_one_line(
    bundle: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names what to install."""
    monkeypatch.setitem(sys.modules, PACKAGES[engine], None)
    with pytest.raises(EngineError, match=rf"pip install 'imgclf\[{engine}\]'"):
        imgclf.load(bundle, engine=engine)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ENGINES)
def test_verbs_take_the_engine(bundle: Path, two_classes: Path, engine: str) -> None:
    """`predict` and `evaluate` print LiteRT's answers."""
    photo = next(two_classes.rglob("*.png"))
    shown = [
        json.loads(
            CliRunner()
            .invoke(app, ["predict", str(bundle), str(photo), "--json", "--engine", name])
            .stdout
        )
        for name in (engine, "litert")
    ]
    assert [one["label"] for one in shown[0]] == [one["label"] for one in shown[1]]
    accuracies = [
        json.loads(
            CliRunner()
            .invoke(
                app,
                ["evaluate", str(bundle), str(two_classes), "--all", "--json", "--engine", name],
            )
            .stdout
        )["accuracy"]
        for name in (engine, "litert")
    ]
    assert accuracies[0] == accuracies[1]
