"""The printed accuracy is the accuracy: from evaluate, from predict, in another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import imgclf
from imgclf.errors import ArgumentError, DataError


def test_evaluate_equals_predict_to_the_last_image(trained: Any, two_classes: Path) -> None:
    """Accuracy counted by hand over predict's labels is exactly that of evaluate."""
    result = imgclf.evaluate(trained.classifier, two_classes)
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
    result = imgclf.evaluate(trained.classifier, tmp_path)
    assert result.metrics.num_images == 2
    assert [Path(item.path).name for item in result.quarantined] == ["bad.jpg"]
    assert result.as_dict()["quarantined"][0]["reason"] in ("corrupt", "truncated")
