"""Every export answers as the classifier does, in its own runtime, or nothing of it is left."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import imgclf
from imgclf.classifiers.bundle import CalibrationRecord
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.lazy_model import LazyModel
from imgclf.classifiers.record import ClassifierRecord
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import ArgumentError, EngineError, ExportError, WriteError
from imgclf.exports import litert_file, onnx_file
from imgclf.exports.export_model import export_model
from imgclf.exports.formats import FORMATS, FormatName
from imgclf.exports.writers import WRITERS


@pytest.fixture(scope="module")
def classifier(trained: Any) -> Classifier:
    """The classifier of the shared run, in whose folder the division of its images lies."""
    return imgclf.load(trained.bundle)


def test_every_format_has_its_writer() -> None:
    """What can be asked for can be written: the tables of formats name the same."""
    assert list(WRITERS) == list(FORMATS) == list(get_args(FormatName))


@pytest.mark.parametrize(
    ("name", "quantize"),
    [
        ("litert", "none"),
        pytest.param("litert", "float16", marks=pytest.mark.slow),
        pytest.param("litert", "dynamic", marks=pytest.mark.slow),
        ("litert", "int8"),
        ("onnx", "none"),
        pytest.param("onnx", "dynamic", marks=pytest.mark.slow),
        pytest.param("openvino", "none", marks=pytest.mark.slow),
        pytest.param("openvino", "float16", marks=pytest.mark.slow),
        pytest.param("savedmodel", "none", marks=pytest.mark.slow),
        ("keras", "none"),
        ("web", "none"),
        pytest.param("web", "float16", marks=pytest.mark.slow),
        ("imgclf", "none"),
    ],
)
def test_an_export_is_proven_on_the_held_out_images(
    name: str, quantize: str, classifier: Classifier, trained: Any, tmp_path: Path
) -> None:
    """Its own runtime gives the labels and, in float32, the probabilities of the classifier."""
    if name == "openvino":
        pytest.importorskip("openvino", reason="the extra openvino")
    proof = imgclf.export(classifier, tmp_path / "pets", format=name, quantize=quantize)
    assert proof.num_images == trained.evaluation.metrics.num_images
    assert proof.accuracy_before == pytest.approx(trained.evaluation.accuracy)
    assert proof.agreement >= (0.97 if quantize in ("dynamic", "int8") else 0.99)
    if quantize == "none":
        assert proof.largest_difference < 3e-5
        assert proof.accuracy_after == proof.accuracy_before
    assert min(proof.alone_per_s, proof.batched_per_s, proof.size_bytes) > 0
    (record,) = json.loads((tmp_path / "export.json").read_text(encoding="utf-8")).values()
    assert record["agreement"] == proof.agreement
    assert bool(record.get("calibrated_on")) == (quantize == "int8")
    assert not list(tmp_path.glob(".export-*"))


def another_network(record: ClassifierRecord, *_: Any) -> bytes:
    """A sound network of the same shape that was never trained."""
    model = imgclf.build_model("three_conv", (24, 24, 3), 2, seed=5, filters=8, hidden_units=8)
    other = ClassifierRecord(
        network=LazyModel(model), class_names=record.class_names, policy=record.policy
    )
    return litert_file.convert_to_litert(export_model(other))


def test_an_export_that_answers_differently_leaves_nothing(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong answers are an error; an earlier export stays as it was."""
    earlier = tmp_path / "pets.tflite"
    earlier.write_bytes(b"earlier")
    monkeypatch.setattr(litert_file, "convert_export", another_network)
    with pytest.raises(ExportError, match=r"with another class, more than the 0\.0%"):
        imgclf.export(classifier, earlier)
    with pytest.raises(ExportError, match="probabilities differ by up to"):
        imgclf.export(classifier, earlier, min_agreement=0.0)
    monkeypatch.setattr(litert_file, "convert_export", lambda *_: b"no network")
    with pytest.raises(ExportError, match="does not run in its own runtime"):
        imgclf.export(classifier, earlier)
    assert earlier.read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["pets.tflite"]


def test_what_cannot_be_exported_is_refused_in_a_line(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown formats, ways that do not go together, missing folders and packages."""
    with pytest.raises(ArgumentError, match="one of litert, onnx, openvino"):
        imgclf.export(classifier, tmp_path / "x", format="coreml")
    with pytest.raises(ArgumentError, match="'onnx': give one of none, dynamic"):
        imgclf.export(classifier, tmp_path / "x", format="onnx", quantize="int8")
    with pytest.raises(WriteError, match="does not exist: make it first"):
        imgclf.export(classifier, tmp_path / "nowhere" / "x")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(EngineError, match=r"pip install 'imgclf\[onnx\]'"):
        imgclf.export(classifier, tmp_path / "x", format="onnx")
    elsewhere = imgclf.load(classifier.save(tmp_path / "alone.imgclf"))
    with pytest.raises(ExportError, match="int8 is calibrated on photos"):
        imgclf.export(elsewhere, tmp_path / "x", quantize="int8")


def test_without_a_run_the_proof_is_on_noise_or_on_given_images(
    classifier: Classifier, two_classes: Path, tmp_path: Path
) -> None:
    """The proof says what it rests on; accuracies need folders with the classes' names."""
    alone = imgclf.load(classifier.save(tmp_path / "alone.imgclf"))
    proof = imgclf.export(alone, tmp_path / "x.tflite")
    assert proof.source.startswith("noise")
    assert proof.accuracy_after is None
    proof = imgclf.export(alone, tmp_path / "x.tflite", images=two_classes)
    assert (proof.num_images, proof.accuracy_after) == (100, proof.accuracy_before)
    folder = next(path for path in sorted(two_classes.iterdir()) if path.is_dir())
    by_class = imgclf.export(alone, tmp_path / "x.tflite", images=folder)
    assert by_class.num_images == len(list(folder.iterdir()))


def test_others_can_read_what_an_export_is(classifier: Classifier, tmp_path: Path) -> None:
    """Class names, preparation of images and figures are in the file, in each format's way."""
    import onnx

    imgclf.export(classifier, tmp_path / "pets.tflite")
    assert (tmp_path / "pets.labels.txt").read_text(encoding="utf-8").splitlines() == [
        "dark",
        "light",
    ]
    with zipfile.ZipFile(tmp_path / "pets.tflite") as archive:
        told = json.loads(archive.read("metadata.json"))
    assert told["names"] == {"0": "dark", "1": "light"}
    assert told["imgsz"] == [24, 24]
    assert told["figures"]["accuracy"] == classifier.figures.accuracy  # type: ignore[union-attr]
    imgclf.export(classifier, tmp_path / "pets.onnx", format="onnx")
    network = onnx.load(tmp_path / "pets.onnx")
    properties = {item.key: item.value for item in network.metadata_props}
    assert json.loads(properties["names"]) == told["names"]
    assert [value.name for value in (*network.graph.input, *network.graph.output)] == [
        "image",
        "probabilities",
    ]
    assert network.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def calibrated(num_classes: int, temperature: float, **settings: Any) -> Classifier:
    """Make a classifier with random weights and a temperature."""
    policy = InputPolicy((24, 28), 3, data_format=settings.pop("data_format", "channels_last"))
    model = imgclf.build_model(
        "three_conv", policy.input_shape, num_classes, data_format=policy.data_format, seed=0,
        filters=8, hidden_units=8,
    )  # fmt: skip
    calibration = CalibrationRecord(
        temperature=temperature, num_images=9, log_loss_before=1.0, log_loss_after=0.9,
        ece_before=0.1, ece_after=0.05, thresholds=[],
    )  # fmt: skip
    return Classifier.of(
        ClassifierRecord(
            network=LazyModel(model),
            class_names=[f"class {index}" for index in range(num_classes)],
            policy=policy,
            calibration=calibration,
            **settings,
        )
    )


CALIBRATED: list[dict[str, Any]] = [
    {"temperature": 1.0},
    {"temperature": 0.3},
    {"temperature": 4.0, "data_format": "channels_first"},
    {"temperature": 0.5, "mirrored": True},
    {"temperature": 2.0, "mirrored": True, "data_format": "channels_first"},
]


@pytest.mark.parametrize(
    ("num_classes", "settings"),
    [
        pytest.param(2 + turned, one, marks=pytest.mark.slow if turned != place % 2 else ())
        for place, one in enumerate(CALIBRATED)
        for turned in (0, 1)
    ],
)
def test_the_exported_network_is_calibrated(num_classes: int, settings: dict[str, Any]) -> None:
    """One column a class, the temperature inside, for every order of axes, mirrored or not."""
    clf = calibrated(num_classes, **settings)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 24, 28, 3), np.uint8)
    found = export_model(clf.record)(pixels, training=False).numpy()
    np.testing.assert_allclose(found, clf.predict_pixels([pixels]), atol=1e-6)


def test_gelu_is_written_for_onnx(tmp_path: Path) -> None:
    """TensorFlow's Erfc, which ONNX lacks, is rewritten; the runtime gives the same values."""
    import onnx

    model = imgclf.build_model("airnet", (24, 24, 3), 3, filters=8)
    record = ClassifierRecord(
        network=LazyModel(model), class_names=["a", "b", "c"], policy=InputPolicy((24, 24), 3)
    )
    clf = Classifier.of(record)
    proof = imgclf.export(clf, tmp_path / "gelu.onnx", format="onnx")
    assert proof.largest_difference < 3e-5
    operations = {node.op_type for node in onnx.load(tmp_path / "gelu.onnx").graph.node}
    assert "Erf" in operations
    assert "Erfc" not in operations


def grouped(input_shape: tuple[int, int, int], num_classes: int) -> Any:
    """A network with a grouped convolution."""
    import keras

    image = keras.Input(input_shape, dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    x = keras.layers.Conv2D(8, 3, name="plain")(x)
    x = keras.layers.Conv2D(8, 3, groups=4, name="grouped")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    outputs = keras.layers.Dense(num_classes, "softmax", name="head")(x)
    return keras.Model(image, outputs, name="grouped")


def test_grouped_convolutions_are_written_for_onnx(tmp_path: Path) -> None:
    """Keras has XLA compile them, which ONNX knows nothing of; TensorFlow's switch is put back."""
    import tensorflow as tf

    model = imgclf.build_model(grouped, (24, 24, 3), 3)
    record = ClassifierRecord(
        network=LazyModel(model), class_names=["a", "b", "c"], policy=InputPolicy((24, 24), 3)
    )
    proof = imgclf.export(Classifier.of(record), tmp_path / "grouped.onnx", format="onnx")
    assert proof.largest_difference < 3e-5
    assert not tf.config.functions_run_eagerly()


def test_the_command_prints_the_proof(bundle: Path, imgclf_command: Any, tmp_path: Path) -> None:
    """A table, or JSON; a file that is not there and a wrong format are one line."""
    done = imgclf_command("export", bundle, "-o", tmp_path / "pets.tflite")
    assert done.returncode == 0, done.stderr
    assert "100.0%" in done.stdout
    assert "pets.tflite" in done.stdout
    again = imgclf_command("export", bundle, "-o", tmp_path / "pets.tflite", "--json")
    assert json.loads(again.stdout)[0]["agreement"] == 1.0
    wrong = imgclf_command("export", bundle, "--format", "coreml")
    assert wrong.returncode == 1
    assert "one of litert, onnx" in wrong.stderr


def test_the_runner_knows_nothing_of_imgclf(classifier: Classifier, tmp_path: Path) -> None:
    """The proof's process imports the runtime and NumPy alone."""
    imgclf.export(classifier, tmp_path / "pets.tflite")
    runner = Path(onnx_file.__file__).with_name("runner.py")
    np.save(tmp_path / "pixels.npy", np.zeros((3, 24, 24, 3), np.uint8))
    script = (
        f"import runpy, sys; sys.argv = ['', 'litert', {str(tmp_path / 'pets.tflite')!r}, "
        f"{str(tmp_path / 'pixels.npy')!r}, {str(tmp_path / 'out.npy')!r}]\n"
        f"runpy.run_path({str(runner)!r}, run_name='__main__')\n"
        "assert not {'imgclf', 'tensorflow', 'keras'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-I", "-c", script], check=True)
    assert np.load(tmp_path / "out.npy").shape == (3, 2)


def test_an_export_replaces_nothing_but_an_export(classifier: Classifier, tmp_path: Path) -> None:
    """Folders and files that somebody else has put there stay, and are named."""
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"a cat")
    with pytest.raises(WriteError, match="holds something else"):
        imgclf.export(classifier, photos, format="savedmodel")
    (tmp_path / "pets.tflite").mkdir()
    with pytest.raises(WriteError, match="holds something else"):
        imgclf.export(classifier, tmp_path / "pets.tflite")
    (tmp_path / "model").write_text("mine")
    with pytest.raises(WriteError, match="is a file"):
        imgclf.export(classifier, tmp_path / "model", format="savedmodel")
    (tmp_path / "export.json").write_text('{"mine": 1}')
    with pytest.raises(WriteError, match="no record of exports"):
        imgclf.export(classifier, tmp_path / "x.tflite")
    assert (photos / "cat.jpg").read_bytes() == b"a cat"
    assert (tmp_path / "export.json").read_text() == '{"mine": 1}'
    assert not (tmp_path / "x.tflite").exists()
