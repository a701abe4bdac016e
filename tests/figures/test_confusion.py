"""The promises of the figures that count answers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from figures.made_predictions import (
    every_number_of_classes,
    make_predictions,
    with_and_without_ties,
)
from imgclf.figures import confusion as counting
from imgclf.figures import predictions


@every_number_of_classes
@with_and_without_ties
def test_counts_equal_scikit_learn(reference: Any, num_classes: int, decimals: int | None) -> None:
    """Confusion, accuracies, precision, recall and F1 equal scikit-learn's."""
    labels, probabilities = make_predictions(num_classes, decimals=decimals)
    predicted = probabilities.argmax(axis=1)
    confusion = counting.confusion_matrix(labels, probabilities)
    expected = reference.precision_recall_fscore_support(
        labels, predicted, labels=range(num_classes), zero_division=0
    )
    rows = counting.class_metrics(confusion, [str(index) for index in range(num_classes)])
    actual = np.array([(row.precision, row.recall, row.f1, row.support) for row in rows]).T
    np.testing.assert_array_equal(confusion, reference.confusion_matrix(labels, predicted))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9)
    assert counting.accuracy(confusion) == pytest.approx(
        reference.accuracy_score(labels, predicted), abs=1e-9
    )
    assert counting.balanced_accuracy(confusion) == pytest.approx(
        reference.balanced_accuracy_score(labels, predicted), abs=1e-9
    )
    assert counting.macro_f1(confusion) == pytest.approx(
        reference.f1_score(labels, predicted, average="macro", zero_division=0), abs=1e-9
    )


def test_one_half_each_is_the_first_class() -> None:
    """Ties go to the first class."""
    probabilities = np.array([[0.5, 0.5], [0.4, 0.6]])
    assert predictions.predicted_classes(probabilities).tolist() == [0, 1]


def test_never_predicted_class_has_precision_zero() -> None:
    """A class that is never answered has precision 0.0; one that is not there at all, no F1."""
    labels = np.array([0, 1, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.9, 0.1, 0.0]])
    rows = counting.class_metrics(counting.confusion_matrix(labels, probabilities), list("abc"))
    assert [row.precision for row in rows] == [pytest.approx(1 / 3), 0.0, 0.0]
    assert (rows[1].recall, rows[1].f1, rows[1].support) == (0.0, 0.0, 2)
    assert math.isnan(rows[2].f1)


def test_confusion_counts_small_integer_labels_right() -> None:
    """Labels stored as uint8 do not wrap around with many classes."""
    labels, probabilities = make_predictions(100)
    np.testing.assert_array_equal(
        counting.confusion_matrix(labels.astype(np.uint8), probabilities),
        counting.confusion_matrix(labels, probabilities),
    )


def test_confusion_has_true_classes_in_rows() -> None:
    """A cat taken for a dog is counted in the cat's row and the dog's column."""
    confusion = counting.confusion_matrix(np.array([0]), np.array([[0.2, 0.8]]))
    assert confusion.tolist() == [[0, 1], [0, 0]]


def test_most_confused_pairs_are_sorted_and_real() -> None:
    """Mistakes come most frequent first, equal ones by class, right answers never."""
    confusion = np.array([[90, 2, 0], [5, 80, 2], [0, 0, 70]])
    expected = [(1, 0, 5), (0, 1, 2), (1, 2, 2)]
    pairs = [counting.ConfusedPair(*row) for row in expected]
    assert counting.most_confused_pairs(confusion, k=10) == pairs
    assert counting.most_confused_pairs(confusion, k=2) == pairs[:2]
    assert counting.most_confused_pairs(confusion, k=0) == []
    assert counting.most_confused_pairs(np.diag([3, 4])) == []
    assert confusion.trace() == 240


def test_majority_class_is_the_share_of_the_largest() -> None:
    """The baseline is the most frequent class, the first on ties."""
    assert counting.majority_class(np.array([2, 2, 1, 0])) == counting.MajorityClass(2, 0.5)
    assert counting.majority_class(np.array([1, 0])) == counting.MajorityClass(0, 0.5)
