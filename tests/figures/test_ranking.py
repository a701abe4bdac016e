"""The promises of the figures that rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from figures.made_predictions import (
    every_number_of_classes,
    make_predictions,
    with_and_without_ties,
)
from imgclf.figures import confusion as counting
from imgclf.figures import ranking


@every_number_of_classes
@with_and_without_ties
def test_ranking_equals_scikit_learn(
    reference: Any, num_classes: int, decimals: int | None
) -> None:
    """AUC and average precision equal scikit-learn's, also when scores tie."""
    labels, probabilities = make_predictions(num_classes, decimals=decimals)
    classes = [1] if num_classes == 2 else range(num_classes)
    auc = [reference.roc_auc_score(labels == c, probabilities[:, c]) for c in classes]
    precision = [
        reference.average_precision_score(labels == c, probabilities[:, c]) for c in classes
    ]
    assert ranking.roc_auc(labels, probabilities) == pytest.approx(np.mean(auc), abs=1e-9)
    assert ranking.average_precision(labels, probabilities) == pytest.approx(
        np.mean(precision), abs=1e-9
    )
    if num_classes > 2:
        one_vs_rest = reference.roc_auc_score(labels, probabilities, multi_class="ovr")
        assert ranking.roc_auc(labels, probabilities) == pytest.approx(one_vs_rest, abs=1e-9)


@every_number_of_classes
@with_and_without_ties
def test_curves_equal_scikit_learn(reference: Any, num_classes: int, decimals: int | None) -> None:
    """Both curves pass through the same points as scikit-learn's, of whichever class."""
    labels, probabilities = make_predictions(num_classes, decimals=decimals)
    for positive in {0, 1, num_classes - 1}:
        is_positive, scores = labels == positive, probabilities[:, positive]
        roc = ranking.roc_curve(labels, probabilities, positive)
        ours = (roc.false_positive_rate, roc.true_positive_rate, roc.thresholds)
        theirs = reference.roc_curve(is_positive, scores, drop_intermediate=False)
        _assert_all_close(ours, theirs)
        curve = ranking.precision_recall_curve(labels, probabilities, positive)
        ours = (curve.precision, curve.recall, curve.thresholds)
        _assert_all_close(ours, reference.precision_recall_curve(is_positive, scores))


def _assert_all_close(ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> None:
    """Compare arrays one by one to 1e-9."""
    for our_array, their_array in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our_array, their_array, rtol=0, atol=1e-9)


@every_number_of_classes
@with_and_without_ties
def test_top_k_equals_scikit_learn(reference: Any, num_classes: int, decimals: int | None) -> None:
    """Top-k accuracy equals scikit-learn's on mirrored columns, as it ranks ties from the end."""
    labels, probabilities = make_predictions(num_classes, decimals=decimals)
    mirrored = num_classes - 1 - labels, probabilities[:, ::-1]
    for k in {1, 2, 5, num_classes} - ({5} if num_classes < 5 else set()):
        ours = ranking.top_k_accuracy(labels, probabilities, k)
        if num_classes > 2 and k < num_classes:
            theirs = reference.top_k_accuracy_score(*mirrored, k=k, labels=range(num_classes))
            assert ours == pytest.approx(theirs, abs=1e-9)
    assert ranking.top_k_accuracy(labels, probabilities, num_classes) == 1.0
    assert ranking.top_k_accuracy(labels, probabilities, 1) == counting.accuracy(
        counting.confusion_matrix(labels, probabilities)
    )


def test_auc_of_constant_scores_is_chance() -> None:
    """A classifier that says the same of every image has an AUC of one half."""
    labels = np.array([0, 1, 1, 0, 1])
    assert ranking.roc_auc(labels, np.full((5, 2), 0.5)) == 0.5
    assert ranking.average_precision(labels, np.full((5, 2), 0.5)) == pytest.approx(0.6)


def test_auc_is_one_when_classes_are_apart_and_zero_when_swapped() -> None:
    """The AUC reaches its ends exactly."""
    labels, scores = np.array([0, 0, 1]), np.array([0.1, 0.2, 0.9])
    probabilities = np.stack([1.0 - scores, scores], axis=1)
    assert ranking.roc_auc(labels, probabilities) == 1.0
    assert ranking.roc_auc(labels, probabilities[:, ::-1]) == 0.0


def test_area_under_the_roc_curve_is_the_auc() -> None:
    """The curve and the figure under it belong together."""
    labels, probabilities = make_predictions(2, decimals=0)
    curve = ranking.roc_curve(labels, probabilities)
    widths = np.diff(curve.false_positive_rate)
    heights = (curve.true_positive_rate[1:] + curve.true_positive_rate[:-1]) / 2
    assert ranking.roc_auc(labels, probabilities) == pytest.approx(np.sum(widths * heights))


def test_curves_of_one_class_are_nan_without_a_warning() -> None:
    """A rate that no image can tell is NaN."""
    labels, probabilities = np.array([0, 0]), np.array([[0.7, 0.3], [0.2, 0.8]])
    assert np.isnan(ranking.roc_curve(labels, probabilities).true_positive_rate).all()
    assert np.isnan(ranking.precision_recall_curve(labels, probabilities).recall).all()
    assert ranking.precision_recall_curve(labels, probabilities).precision.tolist() == [0, 0, 1]
