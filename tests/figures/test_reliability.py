"""The promises of the figures that judge probabilities."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from figures.made_predictions import (
    every_number_of_classes,
    make_predictions,
    with_and_without_ties,
)
from imgclf.figures import reliability


@every_number_of_classes
@with_and_without_ties
def test_losses_equal_scikit_learn(reference: Any, num_classes: int, decimals: int | None) -> None:
    """Log loss and Brier score equal scikit-learn's."""
    labels, probabilities = make_predictions(num_classes, decimals=decimals)
    assert reliability.log_loss(labels, probabilities) == pytest.approx(
        reference.log_loss(labels, probabilities), abs=1e-9
    )
    if num_classes == 2:
        expected = reference.brier_score_loss(labels, probabilities[:, 1])
    else:
        # scikit-learn before 1.7 has no Brier score of more than two classes.
        expected = np.mean(np.sum((np.eye(num_classes)[labels] - probabilities) ** 2, axis=1))
    assert reliability.brier_score(labels, probabilities) == pytest.approx(expected, abs=1e-9)


def test_log_loss_of_saturated_rows_is_clipped(reference: Any) -> None:
    """A certain and wrong answer costs 36.04 as in scikit-learn, never infinity."""
    labels, probabilities = np.array([0, 1, 1]), np.array([[0.0, 1.0], [0.0, 1.0], [0.5, 0.5]])
    loss = reliability.log_loss(labels, probabilities)
    assert loss == pytest.approx(reference.log_loss(labels, probabilities), abs=1e-9)
    assert reliability.log_loss(labels[:1], probabilities[:1]) == pytest.approx(36.0437, abs=1e-4)
    assert reliability.log_loss(labels[1:2], probabilities[1:2]) == pytest.approx(0.0, abs=1e-15)


@every_number_of_classes
def test_calibration_error_equals_its_definition(num_classes: int) -> None:
    """The calibration error is that of Guo et al., bin by bin, upper edges included."""
    labels, probabilities = make_predictions(num_classes, decimals=1)
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    expected = 0.0
    edges = np.linspace(0.0, 1.0, 16)
    for low, high in itertools.pairwise(edges):
        is_inside = (confidence > low) & (confidence <= high)
        if is_inside.any():
            is_correct = predicted[is_inside] == labels[is_inside]
            gap = abs(is_correct.mean() - confidence[is_inside].mean())
            expected += is_inside.mean() * gap
    actual = reliability.expected_calibration_error(labels, probabilities)
    assert actual == pytest.approx(expected, abs=1e-12)


def test_reliability_bins_keep_every_image() -> None:
    """Every confidence, 1 and slightly above included, falls into exactly one bin."""
    probabilities = np.array([[1.0, 0.0], [1.0 + 1e-7, 0.0], [0.5, 0.5], [0.6, 0.4]])
    bins = reliability.reliability_bins(np.array([0, 1, 1, 0]), probabilities, num_bins=5)
    assert bins.num_images.tolist() == [0, 0, 2, 0, 2]
    assert bins.accuracy[[2, 4]].tolist() == [0.5, 0.5]
    assert np.isnan(bins.confidence[[0, 1, 3]]).all()
    assert bins.confidence[2] == pytest.approx(0.55)


def test_reliability_bins_contain_their_upper_edge() -> None:
    """A confidence on the border of two bins belongs to the lower one."""
    probabilities = np.array([[0.75, 0.25], [0.5, 0.5], [0.76, 0.24]])
    bins = reliability.reliability_bins(np.array([0, 0, 0]), probabilities, num_bins=4)
    assert bins.num_images.tolist() == [0, 1, 1, 1]


def test_calibrated_predictions_have_no_calibration_error() -> None:
    """Answers that are right as often as they claim have an error near 0, boastful ones do not."""
    random = np.random.default_rng(seed=7)
    confidence = random.uniform(0.5, 1.0, 200_000)
    probabilities = np.stack([confidence, 1.0 - confidence], axis=1)
    calibrated = (random.random(confidence.size) > confidence).astype(np.int64)
    assert reliability.expected_calibration_error(calibrated, probabilities) < 0.01
    coin_flips = random.integers(0, 2, confidence.size)
    assert reliability.expected_calibration_error(coin_flips, probabilities) == pytest.approx(
        0.25, abs=0.01
    )
