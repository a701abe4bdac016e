"""A set of predictions, and the arithmetic that its figures share.

- ``labels``: integer ``(num_images,)``, the true class of each image, 0 to ``num_classes - 1``.
- ``probabilities``: float64 ``(num_images, num_classes)``, each row sums to 1. Two classes also
  have two columns; the second class is the positive one.

The predicted class is the most probable one, the first on ties. An undefined figure, such as the
recall of a class without images, is NaN.
"""

from __future__ import annotations

from math import nan
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imgclf.errors import ArgumentError

__all__ = [
    "TWO_CLASSES",
    "CountArray",
    "FloatArray",
    "Labels",
    "check_predictions",
    "mean",
    "mean_of_defined",
    "predicted_classes",
    "ratio",
    "true_class_probability",
]

Labels: TypeAlias = NDArray[np.integer[Any]]
FloatArray: TypeAlias = NDArray[np.float64]
CountArray: TypeAlias = NDArray[np.int64]

TWO_CLASSES = 2
"""With two classes the second one is positive, and scores are not averaged."""

ROW_SUM_TOLERANCE = 1e-3
"""How far a row may be from a sum of 1; float32 softmax stays within 1e-6, float16 within 1e-3."""


def predicted_classes(probabilities: FloatArray) -> CountArray:
    """Return the most probable class of each row, the first on ties.

    Args:
        probabilities: float64 ``(num_images, num_classes)``.

    Returns:
        int64 ``(num_images,)``.
    """
    classes: CountArray = np.argmax(probabilities, axis=1).astype(np.int64)
    return classes


def check_predictions(labels: Labels, probabilities: FloatArray) -> None:
    """Refuse arrays that are not labels with predicted probabilities.

    Args:
        labels: Must be integer ``(num_images,)``, 0 to ``num_classes - 1``.
        probabilities: Must be floating ``(num_images, num_classes)``; rows are finite and sum
            to 1.

    Raises:
        ArgumentError: If they are anything else; the message names the first image at fault.
    """
    is_matrix = probabilities.ndim == 2
    if not is_matrix or probabilities.shape[1] < TWO_CLASSES:
        raise ArgumentError(
            f"probabilities has shape {probabilities.shape}: give (num_images, num_classes), "
            "with two columns for two classes."
        )
    if labels.dtype.kind not in "iu" or labels.shape != probabilities.shape[:1]:
        raise ArgumentError(
            f"labels has dtype {labels.dtype} and shape {labels.shape}: "
            f"give one whole number for each of the {len(probabilities)} rows of probabilities."
        )
    if labels.size == 0:
        raise ArgumentError("There are no predictions to measure: give at least one image.")
    _check_values(labels, probabilities)


def _check_values(labels: Labels, probabilities: FloatArray) -> None:
    """Refuse labels without a column, and rows that are not probabilities."""
    num_classes = probabilities.shape[1]
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ArgumentError(
            f"labels go from {labels.min()} to {labels.max()}: "
            f"probabilities has {num_classes} columns, so give 0 to {num_classes - 1}."
        )
    # Written so that NaN, which compares as false, is refused as well.
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        sums_to_one = np.abs(probabilities.sum(axis=1) - 1.0) <= ROW_SUM_TOLERANCE
    is_valid = sums_to_one & (probabilities.min(axis=1) >= 0.0)
    if not is_valid.all():
        row = int(np.argmin(is_valid))
        raise ArgumentError(
            f"Row {row} of probabilities is {_shown(probabilities[row])}: give numbers from 0 to 1 "
            "that sum to 1. Logits become such rows by imgclf.classifiers.calibration.softmax."
        )


def _shown(row: FloatArray, limit: int = 4) -> str:
    """Return a row in a few characters, however many classes there are."""
    numbers = ", ".join(f"{value:.3g}" for value in row[:limit])
    return f"[{numbers}, ...]" if row.size > limit else f"[{numbers}]"


def ratio(numerator: NDArray[Any], denominator: NDArray[Any], undefined: float) -> FloatArray:
    """Divide element by element; where the denominator is 0 the result is `undefined`."""
    result = np.full(denominator.shape, undefined, dtype=np.float64)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def mean(values: NDArray[Any]) -> float:
    """Return the mean, NaN (without NumPy's warning) of nothing."""
    return float(values.mean()) if values.size else nan


def mean_of_defined(values: FloatArray) -> float:
    """Return the mean of what is not NaN."""
    return mean(values[~np.isnan(values)])


def true_class_probability(labels: Labels, probabilities: FloatArray) -> FloatArray:
    """Pick each image's probability of its true class."""
    return probabilities[np.arange(labels.size), labels]
