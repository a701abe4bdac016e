"""The confusion matrix and its figures: accuracies, precision, recall, F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from imgclf.figures.predictions import (
    CountArray,
    FloatArray,
    Labels,
    mean_of_defined,
    predicted_classes,
    ratio,
)

__all__ = [
    "ClassMetrics",
    "ConfusedPair",
    "MajorityClass",
    "accuracy",
    "balanced_accuracy",
    "class_metrics",
    "confusion_matrix",
    "macro_f1",
    "majority_class",
    "most_confused_pairs",
]


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Precision, recall, F1 and support of one class.

    Attributes:
        class_name: The class.
        precision: Share of the images predicted as this class that show it; 0.0 when it is never
            predicted (scikit-learn's ``zero_division=0``).
        recall: Share of the images of this class that are predicted so; NaN without such images.
        f1: Harmonic mean of the two; NaN when the class neither occurs nor is predicted.
        support: Number of images of this class.
    """

    class_name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Two classes of which one is mistaken for the other.

    Attributes:
        true_class: Index of the class that the images show.
        predicted_class: Index of the class that is predicted.
        num_images: How many images.
    """

    true_class: int
    predicted_class: int
    num_images: int


@dataclass(frozen=True, slots=True)
class MajorityClass:
    """The majority-class baseline: always predict the most frequent class.

    Attributes:
        class_index: The most frequent class among the labels, the first on ties.
        accuracy: Its share of the labels.
    """

    class_index: int
    accuracy: float


def confusion_matrix(labels: Labels, probabilities: FloatArray) -> CountArray:
    """Count the images of each true class and predicted class.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.

    Returns:
        int64 ``(num_classes, num_classes)``; rows are true classes, columns predicted ones.
    """
    num_classes = probabilities.shape[1]
    # Labels may be uint8, in which the product would wrap around.
    cells = labels.astype(np.int64) * num_classes + predicted_classes(probabilities)
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def accuracy(confusion: CountArray) -> float:
    """Return the share of correct answers.

    Args:
        confusion: int64 ``(num_classes, num_classes)``, from `confusion_matrix`.

    Returns:
        0 to 1; NaN without images.
    """
    num_images = int(confusion.sum())
    return int(np.trace(confusion)) / num_images if num_images else nan


def balanced_accuracy(confusion: CountArray) -> float:
    """Return the mean recall of the classes that occur, so that rare ones count as much.

    Args:
        confusion: int64 ``(num_classes, num_classes)``, from `confusion_matrix`.

    Returns:
        0 to 1; NaN without images.
    """
    return mean_of_defined(_recall(confusion))


def macro_f1(confusion: CountArray) -> float:
    """Return the mean F1 of the classes that occur or are predicted, as scikit-learn does.

    Args:
        confusion: int64 ``(num_classes, num_classes)``, from `confusion_matrix`.

    Returns:
        0 to 1; NaN without images.
    """
    return mean_of_defined(_f1(confusion))


def class_metrics(confusion: CountArray, class_names: Sequence[str]) -> tuple[ClassMetrics, ...]:
    """Return precision, recall, F1 and support of each class.

    Args:
        confusion: int64 ``(num_classes, num_classes)``, from `confusion_matrix`.
        class_names: ``num_classes`` names in the order of the rows.

    Returns:
        One entry per class, in the same order.
    """
    columns = (
        ratio(np.diagonal(confusion), confusion.sum(axis=0), undefined=0.0).tolist(),
        _recall(confusion).tolist(),
        _f1(confusion).tolist(),
        confusion.sum(axis=1).tolist(),
    )
    return tuple(ClassMetrics(*values) for values in zip(class_names, *columns, strict=True))


def most_confused_pairs(confusion: CountArray, k: int = 10) -> list[ConfusedPair]:
    """List the most frequent confusions.

    Args:
        confusion: int64 ``(num_classes, num_classes)``, from `confusion_matrix`.
        k: Most pairs to list, 0 or more.

    Returns:
        At most `k` pairs that occur, most frequent first, then by class index.
    """
    errors = confusion.copy()
    np.fill_diagonal(errors, 0)
    # A stable sort of the negated counts keeps equal counts in reading order.
    cells = np.argsort(-errors, axis=None, kind="stable")[: max(0, k)]
    true, predicted = np.unravel_index(cells, errors.shape)
    counts = errors[true, predicted]
    rows = zip(true.tolist(), predicted.tolist(), counts.tolist(), strict=True)
    return [ConfusedPair(*row) for row in rows if row[2] > 0]


def majority_class(labels: Labels) -> MajorityClass:
    """Compute the majority-class baseline.

    Args:
        labels: Integer ``(num_images,)``, at least one.

    Returns:
        The class with its share of the labels.
    """
    counts = np.bincount(labels)
    majority = int(np.argmax(counts))
    return MajorityClass(class_index=majority, accuracy=int(counts[majority]) / labels.size)


def _recall(confusion: CountArray) -> FloatArray:
    """Return the recall of each class, NaN where it does not occur."""
    return ratio(np.diagonal(confusion), confusion.sum(axis=1), undefined=nan)


def _f1(confusion: CountArray) -> FloatArray:
    """Return the F1 of each class, NaN where it neither occurs nor is predicted."""
    occurrences = confusion.sum(axis=0) + confusion.sum(axis=1)
    return ratio(2 * np.diagonal(confusion), occurrences, undefined=nan)
