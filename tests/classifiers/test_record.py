"""A classifier is whole when it is made, and never changes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

import imgclf
from imgclf.errors import ArgumentError


def test_nothing_can_be_assigned_to_a_classifier(trained: Any) -> None:
    """Neither its parts nor its record can be exchanged behind the back of a prediction."""
    clf = trained.classifier
    for name in ("model", "class_names", "policy", "calibration", "figures", "record"):
        with pytest.raises(AttributeError):
            setattr(clf, name, None)
    with pytest.raises(FrozenInstanceError):
        clf.record.mirrored = True


def test_with_changes_makes_another_classifier(trained: Any) -> None:
    """The first one stays as it was; the other has the same network and answers alike."""
    bare = imgclf.Classifier(trained.classifier.model, trained.data.train)
    figures = trained.classifier.figures
    measured = bare.with_changes(figures=figures)
    assert bare.figures is None
    assert measured.figures == figures
    pixels = next(iter(trained.data.val.pixels()))
    assert (bare.uncalibrated(pixels) == measured.uncalibrated(pixels)).all()


def test_a_network_for_other_images_is_refused(trained: Any) -> None:
    """The error says what the classes and images need."""
    other = imgclf.build_model("three_conv", (32, 32, 3), 4, filters=8, hidden_units=8)
    with pytest.raises(ArgumentError, match=r"turns \(32, 32, 3\) into 4 outputs; 2 classes"):
        imgclf.Classifier(other, trained.data.train)
