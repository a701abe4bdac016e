"""The printed accuracy is the accuracy: from evaluate, from predict, in another process."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import imgclf
from imgclf.errors import ArgumentError, DataError


def test_evaluate_equals_predict_to_the_last_image(trained: Any, two_classes: Path) -> None:
    """Accuracy counted by hand over predict's labels is exactly that of evaluate."""
    result = imgclf.evaluate(trained.classifier, two_classes, all_images=True)
    predictions = trained.classifier.predict(two_classes)
    correct = [Path(item.path or "").parent.name == item.label for item in predictions]
    assert result.accuracy == np.mean(correct)
    assert result.metrics.num_correct == sum(correct)
    assert list(result.paths) == [item.path for item in predictions]


def test_the_headline_is_what_evaluate_gives_again(trained: Any) -> None:
    """The figures in the bundle equal an evaluation of the very same test images."""
    assert trained.headline_split == "test"
    again = imgclf.evaluate(imgclf.load(trained.bundle), trained.data.test)
    assert again.accuracy == trained.classifier.figures.accuracy == trained.evaluation.accuracy
    assert again.interval == trained.evaluation.interval


def test_classes_are_matched_by_name(trained: Any, two_classes: Path, tmp_path: Path) -> None:
    """A folder without one of the classes keeps the others' meaning and warns by name."""
    (tmp_path / "light").symlink_to(two_classes / "light")
    with pytest.warns(imgclf.DataWarning, match="were training images"):
        result = imgclf.evaluate(trained.classifier, tmp_path)
    assert set(result.labels) == {1}
    assert "'dark'" in result.warnings[0]
    assert result.metrics.classes[1].support == 40


def test_an_unknown_class_is_refused(trained: Any, two_classes: Path, tmp_path: Path) -> None:
    """A folder with a class that the classifier does not know is an error, not a wrong label."""
    for name in ("dark", "light", "purple"):
        (tmp_path / name).symlink_to(two_classes / "dark")
    with pytest.raises(DataError, match="'purple'"):
        imgclf.evaluate(trained.classifier, tmp_path)


def test_a_folder_of_splits_asks_which(trained: Any, two_classes: Path, tmp_path: Path) -> None:
    """A folder with train/ and val/ is not silently evaluated as a whole."""
    for split in ("train", "val"):
        (tmp_path / split).symlink_to(two_classes)
    with pytest.raises(DataError, match="train, val"):
        imgclf.evaluate(trained.classifier, tmp_path)


def test_batches_of_other_classes_are_refused(trained: Any, three_classes: Path) -> None:
    """Batches whose classes are not the classifier's are refused."""
    _, other = imgclf.make_generators(three_classes, image_size=(24, 24))
    with pytest.raises(ArgumentError, match="matched by name"):
        imgclf.evaluate(trained.classifier, other)


def test_unusable_images_are_listed(trained: Any, tmp_path: Path) -> None:
    """A corrupt image among good ones is listed with its reason and does not count."""
    for name in ("dark", "light"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (24, 24)).save(tmp_path / name / "good.png")
    (tmp_path / "dark" / "bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    with pytest.warns(imgclf.DataWarning, match=r"bad\.jpg"):
        result = imgclf.evaluate(trained.classifier, tmp_path)
    assert result.metrics.num_images == 2
    assert [Path(item.path).name for item in result.quarantined] == ["bad.jpg"]
    assert result.as_dict()["quarantined"][0]["reason"] in ("corrupt", "truncated")


def test_training_images_are_recognised(trained: Any, tmp_path: Path) -> None:
    """Evaluating on training images, under whatever names, warns with their number."""
    sources = [trained.data.train.file_paths[0], *trained.data.test.file_paths[:2]]
    for number, source in enumerate(sources):
        target = tmp_path / Path(source).parent.name / f"renamed{number}.png"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(Path(source).read_bytes())
    with pytest.warns(imgclf.DataWarning, match="1 of these 3 images were training images"):
        result = imgclf.evaluate(imgclf.load(trained.bundle), tmp_path)
    assert result.num_seen == 1
    for shown in (repr(result), result._repr_html_()):
        assert "1 of these 3 images were training images" in shown
    assert any("1 of these 3 images were training images" in text for text in result.warnings)
    assert trained.evaluation.num_seen == 0


def test_the_nearest_mean_is_a_baseline(trained: Any, two_classes: Path) -> None:
    """Thumbnails alone tell dark from light, and the figure survives saving."""
    here = imgclf.evaluate(trained.classifier, two_classes)
    again = imgclf.evaluate(imgclf.load(trained.bundle), two_classes)
    assert here.nearest_mean_accuracy == again.nearest_mean_accuracy == 1.0
    assert here.as_dict()["nearest_mean_accuracy"] == 1.0


def test_the_nearest_mean_is_the_nearest() -> None:
    """The baseline's answers are those of plain distances to plain means."""
    from imgclf.classifiers.fingerprints import fingerprint_images, tiny_thumbnails

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 20, 24, 3)).astype(np.uint8)
    labels = np.arange(60) % 3
    fingerprints = fingerprint_images([pixels[:40], pixels[40:]], labels, ["ab" * 32] * 60, 3)
    thumbnails = tiny_thumbnails(pixels)
    means = np.stack([thumbnails[labels == label].mean(axis=0) for label in range(3)])
    distances = np.linalg.norm(thumbnails[:, None] - means, axis=2)
    assert (fingerprints.nearest_class(thumbnails) == distances.argmin(axis=1)).all()


def test_every_prediction_is_calibrated(trained: Any, two_classes: Path) -> None:
    """Predict, predict_pixels and evaluate give the calibrated numbers; no answer changes."""
    from dataclasses import replace

    from imgclf.classifiers.calibration import apply_temperature
    from imgclf.classifiers.classifier import Classifier

    clf = imgclf.load(trained.bundle)
    record = clf.calibration
    assert record is not None
    assert record.log_loss_after <= record.log_loss_before
    calibrated = imgclf.evaluate(clf, two_classes, all_images=True).probabilities
    bare = Classifier.of(replace(clf.record, calibration=None), clf._engine)
    raw = imgclf.evaluate(bare, two_classes, all_images=True).probabilities
    assert (raw.argmax(axis=1) == calibrated.argmax(axis=1)).all()
    np.testing.assert_array_equal(apply_temperature(raw, record.temperature), calibrated)
    predicted = [item.probability for item in trained.classifier.predict(two_classes)]
    np.testing.assert_allclose(predicted, calibrated.max(axis=1), atol=1e-12)


def test_abstaining_is_measured(trained: Any) -> None:
    """With min_precision the result says which share is answered and how much of it is right."""
    result = imgclf.evaluate(trained.classifier, trained.data.test, min_precision=0.9)
    chosen = result.selective
    assert chosen is not None
    is_accepted = result.probabilities.max(axis=1) >= chosen.threshold
    assert chosen.num_accepted == is_accepted.sum()
    assert result.as_dict()["selective"]["coverage"] == pytest.approx(is_accepted.mean())


def test_the_training_folder_gives_the_held_out_images(trained: Any, two_classes: Path) -> None:
    """On its own folder a loaded classifier is measured on the run's test images."""
    clf = imgclf.load(trained.bundle)
    result = imgclf.evaluate(clf, two_classes)
    assert sorted(result.paths) == sorted(trained.evaluation.paths)
    assert result.accuracy == trained.evaluation.accuracy
    assert any("split.csv" in warning for warning in result.warnings)
    everything = imgclf.evaluate(clf, two_classes, all_images=True)
    assert everything.metrics.num_images == 100
    with pytest.raises(ArgumentError, match="contradict each other"):
        imgclf.evaluate(clf, two_classes, split_file="split.csv", all_images=True)


def test_training_images_alone_are_refused_with_the_way_out(trained: Any, tmp_path: Path) -> None:
    """The refusal says where the run's test images are, and how to measure all the same."""
    sources = [path for path in trained.data.train.file_paths if "dark" in path][:3]
    listed = tmp_path / "training.csv"
    listed.write_text("path,label\n" + "".join(f"{path},dark\n" for path in sources))
    classifier = imgclf.load(trained.bundle)
    with pytest.raises(DataError, match=r"3 of them were used in its training.*all_images=True"):
        imgclf.evaluate(classifier, listed)
    asked_for = imgclf.evaluate(classifier, listed, all_images=True)
    assert asked_for.num_seen == 3
    assert "3 of these 3 images were training images" in repr(asked_for)


def test_an_evaluation_shows_itself(trained: Any) -> None:
    """In a notebook: verdict, matrix and classes; the mistakes are pictures with both names."""
    result = trained.evaluation
    html = result._repr_html_()
    assert result.verdict[0] in html
    assert "<svg" in html
    assert all(f">{name}<" in html for name in result.class_names)
    assert "images right" in repr(result)
    assert len(repr(result)) < 200
    turned = dataclasses.replace(result, labels=1 - result.labels)
    picture = turned.show_mistakes(3)
    assert picture.html.count("<img") == 3
    everyone = turned.show_mistakes(100).html
    assert everyone.count("<img") == len(turned.labels)
    for caption in ("dark, answered light", "light, answered dark"):
        assert caption in everyone
    assert result.plot_confusion_matrix().title == "Confusion matrix"


def test_a_classifier_shows_itself(trained: Any) -> None:
    """The card names classes, accuracy and file; a name of a class is never markup."""
    loaded = imgclf.load(trained.bundle)
    html = loaded._repr_html_()
    for part in (
        "dark, light",
        "24 x 24 pixels",
        f"{100 * loaded.figures.accuracy:.1f}%",
        "model.imgclf",
    ):
        assert part in html
    assert "dark, light" in repr(loaded)
