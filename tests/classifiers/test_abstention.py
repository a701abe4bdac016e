"""The promises of saying "unsure"."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imgclf.classifiers.abstention import (
    Selective,
    Threshold,
    find_threshold,
    threshold_for_precision,
    threshold_table,
)
from imgclf.classifiers.calibration import softmax
from imgclf.errors import ArgumentError


def _calibrated_logits(num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels from the very probabilities that the logits state."""
    random = np.random.default_rng(num_classes)
    logits = random.normal(size=(4000, num_classes)) * 2.0
    draws = random.random((len(logits), 1))
    labels = (softmax(logits).cumsum(axis=1) < draws).sum(axis=1)
    return np.minimum(labels, num_classes - 1), logits


def _top(confidence: list[float]) -> np.ndarray:
    """Make two-class rows whose first class has these probabilities."""
    return np.stack([np.array(confidence), 1.0 - np.array(confidence)], axis=1)


def test_threshold_answers_as_much_as_precision_allows() -> None:
    """Of the thresholds that reach the precision, the one that answers most is taken."""
    probabilities = _top([0.95, 0.9, 0.8, 0.7, 0.6])
    labels = np.array([0, 0, 1, 0, 1])
    assert threshold_for_precision(labels, probabilities, 0.75) == Threshold(0.7, 0.8, 0.75)
    assert threshold_for_precision(labels, probabilities, 1.0) == Threshold(0.9, 0.4, 1.0)
    assert threshold_for_precision(labels, probabilities, 0.1) == Threshold(0.6, 1.0, 0.6)


def test_threshold_never_parts_equal_confidence() -> None:
    """Images of one confidence are all answered or all left out."""
    probabilities = _top([0.9, 0.9, 0.8])
    assert threshold_for_precision(np.array([0, 1, 0]), probabilities, 1.0) is None
    found = threshold_for_precision(np.array([0, 1, 0]), probabilities, 0.6)
    assert found == Threshold(0.8, 1.0, pytest.approx(2 / 3))


def test_threshold_that_no_confidence_reaches_is_none() -> None:
    """When even the surest answers are not right often enough there is no threshold."""
    assert threshold_for_precision(np.array([1]), _top([0.9]), 0.5) is None
    found = threshold_for_precision(np.array([0]), _top([0.9]), 1.0)
    assert found == Threshold(0.9, 1.0, 1.0)


@pytest.mark.parametrize("min_precision", [0.5, 0.8, 0.9, 0.99])
def test_threshold_does_what_it_says(min_precision: float) -> None:
    """Applying the value to the images gives the stated coverage and precision."""
    labels, logits = _calibrated_logits(5)
    probabilities = softmax(logits.round(1))
    found = threshold_for_precision(labels, probabilities, min_precision)
    assert found is not None
    is_answered = probabilities.max(axis=1) >= found.value
    is_correct = probabilities.argmax(axis=1) == labels
    assert found.coverage == is_answered.mean()
    assert found.precision == pytest.approx(is_correct[is_answered].mean(), abs=1e-12)
    assert found.precision >= min_precision


@pytest.mark.parametrize("min_precision", [0.0, -1.0, 99, np.nan])
def test_refuses_a_precision_that_is_no_proportion(min_precision: float) -> None:
    """A precision given in per cent is an error that shows how to write it."""
    with pytest.raises(ArgumentError, match=r"such as 0\.99"):
        threshold_for_precision(np.array([0]), _top([0.9]), min_precision)


def test_table_gives_the_threshold_of_the_next_precision() -> None:
    """A precision between two entries takes the stricter one, so it is never undershot."""
    labels, logits = _calibrated_logits(4)
    table = threshold_table(labels, softmax(logits))
    pairs = [(precision, threshold.value) for precision, threshold in table]
    assert find_threshold(pairs, 0.953) == find_threshold(pairs, 0.96)
    for wanted in (0.6, 0.75, 0.953):
        found = Selective.measure(labels, softmax(logits), wanted, find_threshold(pairs, wanted))
        assert found.precision >= wanted
        assert found.coverage == found.num_accepted / labels.size


def test_what_no_threshold_reaches_names_what_one_does() -> None:
    """A precision out of reach is an error that names the highest that is within."""
    with pytest.raises(ArgumentError, match=r"at most 0\.9 was"):
        find_threshold([(0.8, 0.5), (0.9, 0.7)], 0.95)
    with pytest.raises(ArgumentError, match="none at all"):
        find_threshold([], 0.95)
    with pytest.raises(ArgumentError, match=r"such as 0\.95"):
        find_threshold([(0.8, 0.5)], 95)


def test_predictions_below_the_threshold_are_not_accepted(trained: Any, two_classes: Any) -> None:
    """With min_precision only sure answers are accepted; the labels stay as they were."""
    clf = trained.classifier
    threshold = clf.threshold(0.9)
    plain = clf.predict(two_classes)
    asked = clf.predict(two_classes, min_precision=0.9)
    assert all(item.accepted for item in plain)
    assert [item.label for item in plain] == [item.label for item in asked]
    assert [item.accepted for item in asked] == [item.probability >= threshold for item in plain]


def test_a_classifier_without_thresholds_says_so(trained: Any, two_classes: Any) -> None:
    """Asking a classifier that was never calibrated for a precision is a one-line error."""
    from imgclf.classifiers.classifier import Classifier

    clf = Classifier(trained.classifier.model, trained.data.train)
    with pytest.raises(ArgumentError, match=r"imgclf\.train"):
        clf.predict(two_classes, min_precision=0.9)
