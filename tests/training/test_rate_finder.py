"""The rate finder suggests a rate that trains, and leaves the network as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imgclf
from imgclf.errors import ArgumentError
from imgclf.training.rate_plot import rate_picture


@pytest.fixture(scope="module")
def batches(two_classes: Path) -> Any:
    """Training and validation batches."""
    return imgclf.make_generators(two_classes, image_size=(24, 24), batch_size=16, augment="none")


def build() -> Any:
    """Build the network of these tests."""
    return imgclf.build_model("resnet9", (24, 24, 3), seed=0, filters=8)


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("sgd", marks=pytest.mark.slow)])
def test_the_suggestion_trains(optimizer: str, batches: Any) -> None:
    """Between the dead and the exploding rates lies one that learns an easy task."""
    train, val = batches
    model = build()
    before = model.get_weights()
    finding = imgclf.find_learning_rate(model, train, optimizer=optimizer)
    for mine, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert 1e-5 < finding.suggestion < 0.5
    assert len(finding.rates) == len(finding.losses)
    assert (np.diff(finding.rates) > 0).all()
    result = imgclf.fit(
        model, train, val, epochs=8, optimizer=optimizer, learning_rate=finding.suggestion
    )
    assert max(result.history["val_accuracy"]) > 0.9


def test_the_picture_marks_the_suggestion(batches: Any) -> None:
    """The SVG is whole, and names the rate."""
    from xml.etree import ElementTree

    finding = imgclf.find_learning_rate(build(), batches[0], num_steps=30)
    picture = rate_picture(finding)
    assert ElementTree.fromstring(picture).tag.endswith("svg")  # noqa: S314 - our own
    assert f">{finding.suggestion:.2g}<" in picture


def test_too_few_steps_are_refused(batches: Any) -> None:
    """The error names the bound."""
    with pytest.raises(ArgumentError, match="num_steps=5"):
        imgclf.find_learning_rate(build(), batches[0], num_steps=5)
