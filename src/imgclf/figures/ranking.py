"""Figures of ranked scores: top-k accuracy, ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from imgclf.errors import ArgumentError
from imgclf.figures.predictions import (
    TWO_CLASSES,
    CountArray,
    FloatArray,
    Labels,
    mean,
    mean_of_defined,
    ratio,
    true_class_probability,
)

__all__ = [
    "PrecisionRecallCurve",
    "RocCurve",
    "average_precision",
    "precision_recall_curve",
    "roc_auc",
    "roc_curve",
    "top_k_accuracy",
]


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Receiver operating characteristic: one point per distinct score, from strict to lenient.

    Attributes:
        false_positive_rate: float64 ``(num_thresholds,)``, rising from 0 to 1.
        true_positive_rate: float64 ``(num_thresholds,)``, rising from 0 to 1.
        thresholds: float64 ``(num_thresholds,)``, falling from infinity (nothing is positive).
    """

    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    thresholds: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecallCurve:
    """Precision against recall: one point per distinct score, from lenient to strict.

    Attributes:
        precision: float64 ``(num_thresholds + 1,)``; the last is 1 by convention.
        recall: float64 ``(num_thresholds + 1,)``, falling from 1 to 0.
        thresholds: float64 ``(num_thresholds,)``, rising.
    """

    precision: FloatArray
    recall: FloatArray
    thresholds: FloatArray


def top_k_accuracy(labels: Labels, probabilities: FloatArray, k: int) -> float:
    """Return how often the true class is among the `k` most probable ones.

    Of equally probable classes the first comes first, so that ``k=1`` is the accuracy
    (scikit-learn puts the last one first).

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.
        k: 1 or more; from ``num_classes`` on the result is 1.

    Returns:
        0 to 1; NaN without images.

    Raises:
        ArgumentError: If `k` is less than 1.
    """
    if k < 1:
        raise ArgumentError(f"k={k!r} is not accepted: give a whole number of 1 or more.")
    true_probability = true_class_probability(labels, probabilities)[:, np.newaxis]
    comes_earlier = np.arange(probabilities.shape[1]) < labels[:, np.newaxis]
    is_ahead = probabilities > true_probability
    is_ahead |= (probabilities == true_probability) & comes_earlier
    return mean(np.count_nonzero(is_ahead, axis=1) < k)


def roc_curve(labels: Labels, probabilities: FloatArray, positive_class: int = 1) -> RocCurve:
    """Compute the ROC curve of one class against the rest.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.
        positive_class: Index of the positive class.

    Returns:
        The curve through every distinct score. A rate without images is NaN.
    """
    positives, negatives, scores = _cumulative_counts(labels, probabilities, positive_class)
    return RocCurve(
        false_positive_rate=ratio(negatives, np.full_like(negatives, negatives[-1]), nan),
        true_positive_rate=ratio(positives, np.full_like(positives, positives[-1]), nan),
        thresholds=scores,
    )


def precision_recall_curve(
    labels: Labels, probabilities: FloatArray, positive_class: int = 1
) -> PrecisionRecallCurve:
    """Compute the precision-recall curve of one class against the rest.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.
        positive_class: Index of the positive class.

    Returns:
        The curve through every distinct score, arranged as scikit-learn's. The recall is NaN
        when no image shows the class.
    """
    positives, negatives, scores = _cumulative_counts(labels, probabilities, positive_class)
    recall = ratio(positives, np.full_like(positives, positives[-1]), undefined=nan)
    precision = ratio(positives, positives + negatives, undefined=1.0)
    return PrecisionRecallCurve(precision[::-1], recall[::-1], scores[:0:-1])


def roc_auc(labels: Labels, probabilities: FloatArray) -> float:
    """Return the area under the ROC curve.

    It is the probability that an image of a class scores higher for it than one of another class;
    a tie counts one half. With more than two classes it is the macro average of each class against
    the rest, over the classes for which it is defined.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.

    Returns:
        0 to 1, where 0.5 is chance; NaN when all images show one class.
    """
    return _one_against_rest(_binary_auc, labels, probabilities)


def average_precision(labels: Labels, probabilities: FloatArray) -> float:
    """Return the average precision: the mean precision over the images of a class.

    It is the area under the precision-recall curve, summed in steps, not interpolated. With more
    than two classes it is the macro average of each class against the rest, over those that occur.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.

    Returns:
        0 to 1; NaN for two classes when no image shows the second.
    """
    return _one_against_rest(_binary_average_precision, labels, probabilities)


def _one_against_rest(
    score_class: Callable[[FloatArray, NDArray[np.bool_]], float],
    labels: Labels,
    probabilities: FloatArray,
) -> float:
    """Score the second of two classes, or average over each of more against the rest."""
    num_classes = probabilities.shape[1]
    # Scoring both of two classes would count the same pairs of images twice.
    positives = [1] if num_classes == TWO_CLASSES else range(num_classes)
    scores = [
        score_class(np.ascontiguousarray(probabilities[:, positive]), labels == positive)
        for positive in positives
    ]
    return mean_of_defined(np.array(scores))


def _binary_auc(scores: FloatArray, is_positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve as the Mann-Whitney statistic of mid-ranks."""
    positives = scores[is_positive]
    num_pairs = positives.size * (scores.size - positives.size)
    if num_pairs == 0:
        return nan
    # Sorting the scores and looking up the positives is ten times as fast as ranking everything
    # by argsort, because NumPy sorts plain float64 with vector instructions.
    ordered = np.sort(scores)
    first = np.searchsorted(ordered, positives, side="left")
    last = np.searchsorted(ordered, positives, side="right")
    rank_sum = float((first + last + 1).sum()) / 2.0
    return (rank_sum - positives.size * (positives.size + 1) / 2.0) / num_pairs


def _binary_average_precision(scores: FloatArray, is_positive: NDArray[np.bool_]) -> float:
    """Return the mean, over the positives, of the precision at each one's score."""
    ordered = np.sort(scores)
    positives = np.sort(scores[is_positive])
    num_found = scores.size - np.searchsorted(ordered, positives, side="left")
    num_right = positives.size - np.searchsorted(positives, positives, side="left")
    return mean(num_right / num_found)


def _cumulative_counts(
    labels: Labels, probabilities: FloatArray, positive_class: int
) -> tuple[CountArray, CountArray, FloatArray]:
    """Count positives and negatives at or above each distinct score, from infinity down."""
    scores = probabilities[:, positive_class]
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    # Equal scores cannot be told apart by a threshold, so only the last of each run is a point.
    is_last = np.append(ordered[1:] != ordered[:-1], np.True_)[: ordered.size]
    is_positive = labels[order] == positive_class
    positives = np.cumsum(is_positive, dtype=np.int64)[is_last]
    negatives = np.cumsum(~is_positive, dtype=np.int64)[is_last]
    return (
        np.concatenate([[0], positives]),
        np.concatenate([[0], negatives]),
        np.concatenate([[np.inf], ordered[is_last]]),
    )
