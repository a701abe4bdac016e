"""A classifier is whole when it is made, and never changes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import keras
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


def _ending(*layers: keras.layers.Layer) -> keras.Model:
    """Build a network of 24 x 24 pixels that ends in these layers."""
    image = keras.Input((24, 24, 3), dtype="uint8", name="image")
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    for layer in layers:
        features = layer(features)
    return keras.Model(image, features)


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ([keras.layers.Dense(1, name="last")], "'last' with linear"),
        ([keras.layers.Dense(1, "relu", name="last")], "'last' with relu"),
        ([keras.layers.Dense(1, "sigmoid"), keras.layers.ReLU(name="last")], "with relu"),
        ([keras.layers.Dense(1, "sigmoid"), keras.layers.Rescaling(2.0)], "with rescaling"),
    ],
    ids=["linear", "relu", "relu layer", "rescaling"],
)
def test_a_network_that_answers_no_probabilities_is_refused(
    layers: Any, found: str, trained: Any
) -> None:
    """Outputs of 1.41 or -0.41 never become probabilities: the last layer is named at once."""
    with pytest.raises(ArgumentError, match=f"{found}, whose outputs are no probabilities"):
        imgclf.Classifier(_ending(*layers), trained.data.train)


def test_every_way_to_end_in_probabilities_is_taken(trained: Any) -> None:
    """A sigmoid in the last layer, behind it, or inside a nested network is a sigmoid."""
    nested = keras.Sequential([keras.Input((1728,)), keras.layers.Dense(1, "sigmoid")])
    endings: list[list[keras.layers.Layer]] = [
        [keras.layers.Dense(1, "sigmoid")],
        [keras.layers.Dense(1), keras.layers.Activation("sigmoid")],
        [nested],
    ]
    for layers in endings:
        assert imgclf.Classifier(_ending(*layers), trained.data.train).class_names


def test_what_is_no_network_is_refused(trained: Any) -> None:
    """None in place of a network is named."""
    with pytest.raises(ArgumentError, match="NoneType is no network"):
        imgclf.Classifier(None, trained.data.train)
