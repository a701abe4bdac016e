"""Figures of the probabilities themselves: log loss, Brier score, calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np

from imgclf.errors import ArgumentError
from imgclf.figures.predictions import (
    TWO_CLASSES,
    CountArray,
    FloatArray,
    Labels,
    mean,
    predicted_classes,
    ratio,
    true_class_probability,
)

__all__ = [
    "LOG_FLOOR",
    "ReliabilityBins",
    "brier_score",
    "expected_calibration_error",
    "log_loss",
    "reliability_bins",
]

LOG_FLOOR = float(np.finfo(np.float64).eps)
"""Smallest probability whose logarithm is taken, 2.2e-16, as in scikit-learn's `log_loss`.

It is that of float64 for float32 arrays too, so that both give the same figure.
"""


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityBins:
    """Confidence and accuracy of predictions, binned by confidence.

    Attributes:
        edges: float64 ``(num_bins + 1,)``, from 0 to 1; a bin contains its upper edge.
        num_images: int64 ``(num_bins,)``.
        confidence: float64 ``(num_bins,)``, mean top probability; NaN in an empty bin.
        accuracy: float64 ``(num_bins,)``, share of correct answers; NaN in an empty bin.
    """

    edges: FloatArray
    num_images: CountArray
    confidence: FloatArray
    accuracy: FloatArray


def log_loss(labels: Labels, probabilities: FloatArray) -> float:
    """Return the mean negative natural logarithm of the true class's probability.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``; clipped to `LOG_FLOOR` and
            ``1 - LOG_FLOOR``, so one image costs at most 36.04.

    Returns:
        0 (certain and right) or more; NaN without images.
    """
    true_probability = true_class_probability(labels, probabilities).astype(np.float64)
    return mean(-np.log(np.clip(true_probability, LOG_FLOOR, 1.0 - LOG_FLOOR)))


def brier_score(labels: Labels, probabilities: FloatArray) -> float:
    """Return the mean squared error of the probabilities.

    Two classes: the squared error of the second class's probability, 0 to 1, as is customary.
    More: the sum of the squared errors of all classes, 0 to 2 (Brier's own definition).
    scikit-learn does the same.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.

    Returns:
        0 (certain and right) to 1 or 2; NaN without images.

    References:
        G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability",
        Monthly Weather Review 78 (1950).
    """
    errors = probabilities.astype(np.float64)
    errors[np.arange(labels.size), labels] -= 1.0
    squared = np.einsum("ic,ic->i", errors, errors)
    return mean(squared) / (2.0 if probabilities.shape[1] == TWO_CLASSES else 1.0)


def reliability_bins(
    labels: Labels, probabilities: FloatArray, num_bins: int = 15
) -> ReliabilityBins:
    """Bin the predictions by confidence, with the accuracy of each bin.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.
        num_bins: Number of bins of equal width between 0 and 1, at least 1.

    Returns:
        The bins from least to most confident.

    Raises:
        ArgumentError: If `num_bins` is less than 1.
    """
    if num_bins < 1:
        raise ArgumentError(f"num_bins={num_bins!r} is not accepted: give 1 or more.")
    confidence = probabilities.max(axis=1)
    is_correct = predicted_classes(probabilities) == labels
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    # Only the inner edges: a confidence of 1 + 1e-7 (float32) still belongs to the last bin.
    bins = np.searchsorted(edges[1:-1], confidence, side="left")
    counts = np.bincount(bins, minlength=num_bins).astype(np.int64)
    return ReliabilityBins(
        edges=edges,
        num_images=counts,
        confidence=ratio(np.bincount(bins, confidence, num_bins), counts, undefined=nan),
        accuracy=ratio(np.bincount(bins, is_correct, num_bins), counts, undefined=nan),
    )


def expected_calibration_error(
    labels: Labels, probabilities: FloatArray, num_bins: int = 15
) -> float:
    """Return the mean gap between confidence and accuracy, weighted by images.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.
        num_bins: Number of bins of equal width; 15 is what publications use.

    Returns:
        0 (calibrated) to 1; NaN without images.

    References:
        C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3.
    """
    bins = reliability_bins(labels, probabilities, num_bins)
    is_filled = bins.num_images > 0
    gaps = np.abs(bins.accuracy - bins.confidence)[is_filled] * bins.num_images[is_filled]
    return float(gaps.sum()) / labels.size if labels.size else nan
