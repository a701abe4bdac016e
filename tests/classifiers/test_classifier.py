"""A classifier predicts the same from every kind of source, before and after it was saved."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import imgclf
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.loader import load
from imgclf.conformance.reload import save_bundle
from imgclf.errors import ArgumentError, BundleError, DataError, DataNotFoundError, ImageError
from imgclf.zoo.isolation import load_function
from plugin_folders import SOUND_PLUGIN


def test_every_kind_of_source_gives_the_same_prediction(trained: Any, two_classes: Path) -> None:
    """A path, bytes, an open file, a PIL image, an array and a list give one answer."""
    path = two_classes / "dark" / "003.png"
    clf = trained.classifier
    with path.open("rb") as file, Image.open(path) as lazy, Image.open(path) as loaded:
        array = np.asarray(loaded)
        sources = [path, str(path), path.read_bytes(), file, lazy, loaded, array, array[None]]
        answers = [clf.predict(source) for source in sources]
    assert all(len(answer) == 1 for answer in answers)
    assert len({answer[0].probability for answer in answers}) == 1
    assert len(clf.predict([path, array])) == 2


def test_the_reloaded_classifier_is_the_same(trained: Any, bundle: Path, two_classes: Path) -> None:
    """Every probability of a reloaded bundle equals that of the classifier that was saved."""
    before = trained.classifier.predict(two_classes)
    after = load(bundle).predict(two_classes)
    assert before == after
    assert load(bundle).figures == trained.classifier.figures


def test_a_prediction_names_every_class(trained: Any, two_classes: Path) -> None:
    """There is one probability per class, also for two; they sum to 1 and the label is the best."""
    for item in trained.classifier.predict(two_classes):
        assert list(item.probabilities) == ["dark", "light"]
        assert sum(item.probabilities.values()) == pytest.approx(1)
        assert item.probability == max(item.probabilities.values())
        assert item.probabilities[item.label] == item.probability


def test_what_lies_beside_an_image_does_not_matter(trained: Any, two_classes: Path) -> None:
    """An image alone, in a folder, and in another order gets the same label."""
    clf = trained.classifier
    together = {item.path: item for item in clf.predict(two_classes)}
    backwards = clf.predict(list(reversed(list(together))))
    for item in backwards:
        assert item.label == together[item.path].label
        assert item.probability == pytest.approx(together[item.path].probability, abs=1e-6)


def test_unreadable_images_are_an_error_or_named(
    trained: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By default a bad image raises; with strict=False it is left out and named in the log."""
    Image.new("RGB", (9, 9)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"bad\.png"):
        trained.classifier.predict(tmp_path)
    kept = trained.classifier.predict(tmp_path, strict=False)
    assert [Path(item.path or "").name for item in kept] == ["good.png"]
    assert "bad.png" in caplog.text


def test_bad_sources_are_refused_in_one_line(trained: Any, tmp_path: Path) -> None:
    """A missing path, an empty folder and a thing that is no image each say what is accepted."""
    with pytest.raises(DataNotFoundError, match="no such file"):
        trained.classifier.predict(tmp_path / "missing.jpg")
    with pytest.raises(DataError, match="no image"):
        trained.classifier.predict(tmp_path)
    with pytest.raises(ArgumentError, match="dict is not an image"):
        trained.classifier.predict({})


def test_a_plain_dataset_carries_no_classes(trained: Any) -> None:
    """Classifier(model, plain dataset) says what to pass instead."""
    with pytest.raises(ArgumentError, match="make_generators"):
        Classifier(trained.classifier.model, tf.data.Dataset.range(3))


def test_a_model_for_other_data_is_refused(two_classes: Path) -> None:
    """A network of another input size or class count is refused with the call that fits."""
    train, _ = imgclf.make_generators(two_classes, image_size=(24, 24))
    with pytest.raises(ArgumentError, match=r"train\.input_shape"):
        Classifier(imgclf.build_model("three_conv", (32, 32, 3), filters=8), train)
    with pytest.raises(ArgumentError, match="num_classes"):
        Classifier(imgclf.build_model("three_conv", (24, 24, 3), 3, filters=8), train)


def test_only_buildable_networks_are_saved(two_classes: Path, tmp_path: Path) -> None:
    """A hand-made Keras model can predict but not be saved: nobody could build it again."""
    train, _ = imgclf.make_generators(two_classes, image_size=(24, 24))
    image = keras.Input((24, 24, 3), dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    clf = Classifier(keras.Model(image, keras.layers.Dense(1, "sigmoid")(pooled)), train)
    assert len(clf.predict(two_classes)) == 100
    with pytest.raises(BundleError, match="build_model"):
        clf.save(tmp_path / "x.imgclf")


def test_an_architecture_function_goes_the_whole_way(two_classes: Path, tmp_path: Path) -> None:
    """A function that is no plugin trains, saves, and loads when it is given again."""
    from imgclf.architectures.three_conv import one_hidden

    train, _ = imgclf.make_generators(two_classes, image_size=(24, 24))
    model = imgclf.build_model(one_hidden, train.input_shape, filters=8, hidden_units=8)
    clf = Classifier(model, train)
    path = clf.save(tmp_path / "mine.imgclf")
    again = load(path, architecture=one_hidden)
    assert clf.as_saved().predict(two_classes) == again.predict(two_classes)


def test_a_function_whose_file_has_changed_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A harmless change is a log warning; one that changes the network is part of the error."""
    source = SOUND_PLUGIN.format(name="net")
    file, path = tmp_path / "nets.py", tmp_path / "net.imgclf"

    def function(text: str) -> Any:
        file.write_text(text)
        return load_function(file, "net")

    save_bundle(imgclf.build_model(function(source), (16, 16, 3), 3), path)
    with caplog.at_level("WARNING", "imgclf"):
        load(path, architecture=function(source))
        assert not caplog.records
        load(path, architecture=function(source + "# a remark"))
    assert "gives the outputs that it was saved with" in caplog.text
    assert caplog.text.count("The source file of 'net' has changed since: its sha256 is") == 1
    with pytest.raises(BundleError, match=r"other results .* source file of 'net' has changed"):
        load(path, architecture=function(source.replace("1 / 255", "1 / 99")))
    with pytest.raises(BundleError, match=r"cannot be built.* source file of 'net' has changed"):
        load(path, architecture=function(source.replace('name="conv"', 'name="other"')))


@pytest.mark.parametrize(
    ("channels", "data_format"),
    [
        (1, "channels_first"),
        (3, "channels_last"),
        pytest.param(1, "channels_last", marks=pytest.mark.slow),
        pytest.param(3, "channels_first", marks=pytest.mark.slow),
    ],
)
def test_grey_and_channels_first_survive_saving(
    data_format: Any, channels: Any, three_classes: Path, tmp_path: Path
) -> None:
    """The bundle carries channels and axis order; predictions are the same after loading."""
    train, _ = imgclf.make_generators(
        three_classes, image_size=(24, 26), channels=channels, data_format=data_format
    )
    model = imgclf.build_model(
        "three_conv", train.input_shape, 3, data_format=data_format, filters=8, hidden_units=8
    )
    clf = Classifier(model, train)
    again = load(clf.save(tmp_path / "x.imgclf"))
    assert again.policy == train.policy
    assert clf.as_saved().predict(three_classes) == again.predict(three_classes)
    by_keras = load(tmp_path / "x.imgclf", engine="keras")
    assert clf.predict(three_classes) == by_keras.predict(three_classes)


def test_a_bytes_source_can_be_a_stream(trained: Any) -> None:
    """An image in memory needs no file."""
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), (9, 9, 9)).save(stream, "PNG")
    assert trained.classifier.predict(stream)[0].path is None


def test_mirrored_predictions_do_not_tell_left_from_right(trained: Any, tmp_path: Path) -> None:
    """With `mirrored` an image and its mirror image get the same answer, also after reloading."""
    classifier = imgclf.Classifier(trained.classifier.model, trained.data.train)
    pixels = next(iter(trained.data.val.pixels()))
    plain = classifier.uncalibrated(pixels)
    flipped = classifier.uncalibrated(np.ascontiguousarray(pixels[:, :, ::-1]))
    assert np.abs(plain - flipped).max() > 1e-4
    mirrored = imgclf.Classifier(classifier.model, trained.data.train, mirrored=True)
    both = mirrored.uncalibrated(pixels)
    np.testing.assert_allclose(both, (plain + flipped) / 2, atol=1e-6)
    again = imgclf.load(mirrored.save(tmp_path / "mirrored.imgclf"))
    assert again.record.mirrored
    np.testing.assert_allclose(
        again.uncalibrated(np.ascontiguousarray(pixels[:, :, ::-1])), both, atol=1e-6
    )


def test_any_iterable_of_any_source_is_predicted(trained: Any, two_classes: Path) -> None:
    """Generators, `Path.glob`, sets, maps and tensors are taken, bytes in any form too."""
    clf = trained.classifier
    path = two_classes / "dark" / "003.png"
    array = np.asarray(Image.open(path))
    content = path.read_bytes()
    expected = clf.predict(path)[0].probability
    sources: list[Any] = [
        (one for one in [path]), {path}, map(str, [path]), path.parent.glob("003.*"),
        tf.constant(array), tf.constant(array[None]), bytearray(content), memoryview(content),
        [[path]],
    ]  # fmt: skip
    for source in sources:
        assert [item.probability for item in clf.predict(source)] == [expected], source
    assert clf.explain(tf.constant(array)).label == clf.predict(path)[0].label


def test_what_is_no_image_says_what_to_give(trained: Any) -> None:
    """Batches, mappings and numbers are named, with the call that fits."""
    for wrong, message in [
        (trained.data.val, "imgclf.evaluate"), ({"a": 1}, "dict is not an image"),
        (3, "int is not an image"), ([None], "NoneType is not an image"),
    ]:  # fmt: skip
        with pytest.raises(ArgumentError, match=message):
            trained.classifier.predict(wrong)


def test_results_match_inputs_on_request(trained: Any, two_classes: Path, tmp_path: Path) -> None:
    """on_error="none" gives None in the place of an image that cannot be decoded."""
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    good = two_classes / "dark" / "000.png"
    clf = trained.classifier
    first, second, third = clf.predict([good, bad, good], on_error="none")
    assert second is None
    assert first == third
    assert first is not None
    assert first.probability == pytest.approx(clf.predict(good)[0].probability, abs=1e-6)
    assert len(clf.predict([good, bad, good], on_error="leave_out")) == 2
    with pytest.raises(ImageError):
        clf.predict([good, bad], on_error="raise")
    with pytest.raises(ArgumentError, match="'raise', 'leave_out' or 'none'"):
        clf.predict(good, on_error="ignore")


def test_images_are_predicted_as_they_are_asked_for(trained: Any, two_classes: Path) -> None:
    """predict_iter reads no further than it must, and answers as predict does."""
    clf = trained.classifier
    paths = sorted(two_classes.rglob("*.png"))
    read: list[Path] = []

    def endless() -> Any:
        while True:
            for path in paths:
                read.append(path)
                yield path

    found = list(itertools.islice(clf.predict_iter(endless(), batch_size=4), 6))
    expected = clf.predict(paths[:6])
    assert [item.label for item in found] == [item.label for item in expected]
    assert [item.probability for item in found] == pytest.approx(
        [item.probability for item in expected], abs=1e-6
    )
    assert len(read) == 8
    assert list(clf.predict_iter([], batch_size=4)) == []
    with pytest.raises(ArgumentError, match="batch_size=0"):
        clf.predict_iter(paths, batch_size=0)


def test_a_prediction_is_plain_values(trained: Any, two_classes: Path) -> None:
    """as_dict holds what a JSON file needs: index, label, unfamiliar, and every probability."""
    item = trained.classifier.predict(two_classes / "light" / "000.png")[0]
    record = json.loads(json.dumps(item.as_dict()))
    assert record["index"] == item.index == trained.classifier.class_names.index(item.label)
    assert record["unfamiliar"] is item.unfamiliar
    assert record["probabilities"] == dict(item.probabilities)


def test_the_step_by_step_road_is_calibrated(trained: Any, two_classes: Path) -> None:
    """Classifier(model, train, calibrate=val) knows what `imgclf.train` finds at its end."""
    data, whole = trained.data, trained.classifier
    clf = Classifier(whole.model, data.train, calibrate=data.val)
    assert clf.calibration is not None
    # Keras answers here, LiteRT there.
    assert clf.calibration.temperature == pytest.approx(whole.calibration.temperature, rel=1e-3)
    path = two_classes / "dark" / "000.png"
    (mine,), (theirs,) = (one.predict(path, min_precision=0.9) for one in (clf, whole))
    assert (mine.label, mine.accepted) == (theirs.label, theirs.accepted)
    assert mine.probability == pytest.approx(theirs.probability, abs=1e-4)
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    assert clf.predict(noise)[0].familiarity == whole.predict(noise)[0].familiarity is not None
    assert load(clf.to_bytes()).calibration == clf.calibration
    with pytest.warns(imgclf.DataWarning, match="were training images"):
        assert imgclf.evaluate(clf, data.train).num_seen == data.train.num_samples
    for wrong, message in [(data.train.map(lambda *one: one), "make_generators"), (3, "int")]:
        with pytest.raises(ArgumentError, match=message):
            Classifier(whole.model, data.train, calibrate=wrong)
