"""Confidence intervals of an accuracy, and the paired test of two classifiers."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from imgclf.errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MIN_MEASURED", "Interval", "PairedTest", "mcnemar", "wilson_interval"]

MIN_MEASURED = 140
"""Fewest images for a 95% interval narrower than 10 points at 90 % accuracy (Wilson)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A range of proportions, both ends included.

    Attributes:
        low: Lower end, 0 to `high`.
        high: Upper end, `low` to 1.
    """

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedTest:
    """McNemar's test of two classifiers on the same images.

    Attributes:
        only_a_correct: Number of images that only the first classifier got right.
        only_b_correct: Number of images that only the second classifier got right.
        p_value: Probability, 0 to 1, of a split at least this uneven if both were equally good.
    """

    only_a_correct: int
    only_b_correct: int
    p_value: float


def wilson_interval(num_correct: int, num_images: int, confidence: float = 0.95) -> Interval:
    """Compute the confidence interval of an accuracy (Wilson score interval).

    Show it beside every accuracy. Unlike "plus or minus two standard errors" it stays inside 0 to 1
    and holds near both ends.

    Args:
        num_correct: Images that were classified correctly, 0 to `num_images`.
        num_images: Images that were classified, 0 or more.
        confidence: How often such intervals contain the true value, between 0 and 1.

    Returns:
        The Wilson score interval. Without images it is 0 to 1; with none correct it starts at
        exactly 0, with all correct it ends at exactly 1.

    Raises:
        ArgumentError: If a count is impossible or `confidence` is not between 0 and 1.

    Example:
        >>> interval = wilson_interval(90, 100)
        >>> print(f"{interval.low:.3f} to {interval.high:.3f}")
        0.826 to 0.945

    References:
        E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
        JASA 22 (1927). Recommended over others by L. D. Brown, T. T. Cai and A. DasGupta,
        "Interval Estimation for a Binomial Proportion", Statistical Science 16 (2001).
    """
    _check_counts(num_correct, num_images)
    _check_confidence(confidence)
    if num_images == 0:
        return Interval(0.0, 1.0)
    quantile = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    proportion = num_correct / num_images
    shrinkage = 1.0 + quantile**2 / num_images
    centre = (proportion + quantile**2 / (2.0 * num_images)) / shrinkage
    variance = proportion * (1.0 - proportion) / num_images + (quantile / (2.0 * num_images)) ** 2
    margin = quantile * sqrt(variance) / shrinkage
    # The formula gives exactly 0 and 1 at the ends; floating point misses them by 1e-17 or so.
    low = 0.0 if num_correct == 0 else max(0.0, centre - margin)
    high = 1.0 if num_correct == num_images else min(1.0, centre + margin)
    return Interval(low, high)


def mcnemar(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]) -> PairedTest:
    """Test whether one of two classifiers is better, on the same images (McNemar).

    Use it instead of comparing two intervals: both classifiers find the same images hard, so only
    those on which they disagree count. A p-value below 0.05 is customary for calling them
    different.

    Args:
        correct_a: bool ``(num_images,)``, whether the first classifier got each image right.
        correct_b: bool ``(num_images,)``, the same of the second classifier, in the same order.

    Returns:
        The two counts of disagreement with the two-sided exact (binomial) p-value; it is 1 when
        the classifiers never disagree.

    Raises:
        ArgumentError: If the arrays are not boolean vectors of one length.

    Example:
        >>> correct_a = np.array([True] * 9 + [False])
        >>> print(f"{mcnemar(correct_a, correct_b=~correct_a).p_value:.3f}")
        0.021

    References:
        Q. McNemar, "Note on the Sampling Error of the Difference Between Correlated Proportions
        or Percentages", Psychometrika 12 (1947). Recommended for classifiers by
        T. G. Dietterich, "Approximate Statistical Tests", Neural Computation 10 (1998).
    """
    _check_paired(correct_a, correct_b)
    only_a = int(np.count_nonzero(correct_a & ~correct_b))
    only_b = int(np.count_nonzero(correct_b & ~correct_a))
    tail = _fair_coin_tail(min(only_a, only_b), only_a + only_b)
    # Both tails share the middle term when the split is even, hence the cap.
    return PairedTest(only_a, only_b, min(1.0, 2.0 * tail))


def _fair_coin_tail(num_heads: int, num_tosses: int) -> float:
    """Return the probability of at most `num_heads` heads in `num_tosses` fair tosses."""
    heads = np.arange(1, num_heads + 1, dtype=np.float64)
    # Binomial coefficients overflow from about 1,030 tosses on; their logarithms do not.
    log_ratios = np.log((num_tosses - heads + 1.0) / heads)
    log_coefficients = np.concatenate([[0.0], np.cumsum(log_ratios)])
    return float(np.exp(log_coefficients - num_tosses * log(2.0)).sum())


def _check_counts(num_correct: int, num_images: int) -> None:
    """Refuse counts that no set of images can have."""
    if not 0 <= num_correct <= num_images:
        raise ArgumentError(
            f"num_correct={num_correct!r} of num_images={num_images!r} is not possible: "
            "give 0 <= num_correct <= num_images."
        )


def _check_confidence(confidence: float) -> None:
    """Refuse a confidence that is not a proportion, such as 95."""
    if not 0.0 < confidence < 1.0:
        raise ArgumentError(
            f"confidence={confidence!r} is not accepted: give a number between 0 and 1, "
            "such as 0.95."
        )


def _check_paired(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]) -> None:
    """Refuse anything but two boolean vectors of one length."""
    for name, correct in (("correct_a", correct_a), ("correct_b", correct_b)):
        if correct.dtype != np.bool_ or correct.ndim != 1:
            raise ArgumentError(
                f"{name} has dtype {correct.dtype} and shape {correct.shape}: "
                "give one True or False per image."
            )
    if correct_a.size != correct_b.size:
        raise ArgumentError(
            f"correct_a has {correct_a.size} images and correct_b has {correct_b.size}: "
            "give both classifiers' answers to the same images."
        )
