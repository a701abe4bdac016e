"""The gain of a search over the defaults, with its confidence interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imgclf.errors import ArgumentError

__all__ = ["Gain", "paired_gain"]


@dataclass(frozen=True, slots=True)
class Gain:
    """Difference in accuracy between the best trial and the defaults, on the same images.

    Attributes:
        split: ``"test"``, or ``"val"``: images that also chose the trial, which biases the gain.
        best_accuracy: Accuracy of the best trial.
        defaults_accuracy: Accuracy of its architecture's defaults.
        low: Lower end of the 95% interval of the difference.
        high: Upper end.
        num_images: Images on which both were measured.
    """

    split: Literal["test", "val"]
    best_accuracy: float
    defaults_accuracy: float
    low: float
    high: float
    num_images: int

    @property
    def difference(self) -> float:
        """Accuracy of the best trial minus that of the defaults."""
        return self.best_accuracy - self.defaults_accuracy

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def paired_gain(
    best_correct: NDArray[np.bool_],
    defaults_correct: NDArray[np.bool_],
    split: Literal["test", "val"],
    confidence: float = 0.95,
) -> Gain:
    """Compare the accuracy of two classifiers on the same images (paired).

    Only images on which the classifiers differ carry information, so that the interval is much
    narrower than two separate ones. It covers the choice of images, not the variation between
    trainings of the same options: that is what executions are for.

    Args:
        best_correct: bool ``(num_images,)``, whether the best trial is right on each image.
        defaults_correct: bool ``(num_images,)``, the same for the defaults, in the same order.
        split: Which images these are.
        confidence: Confidence level of the interval, 0 to 1.

    Returns:
        Both accuracies and the interval.

    Raises:
        ArgumentError: The arrays differ in length or are empty.

    References:
        A. Agresti and Y. Min, "Simple improved confidence intervals for comparing matched
        proportions", Statistics in Medicine 24 (2005): half an image is added to each cell.
    """
    if best_correct.shape != defaults_correct.shape or not best_correct.size:
        raise ArgumentError(
            f"Predictions of {best_correct.size} and {defaults_correct.size} images cannot be "
            "compared: give one of each classifier for each of the same images."
        )
    count = best_correct.size
    only_best = float(np.count_nonzero(best_correct & ~defaults_correct)) + 0.5
    only_defaults = float(np.count_nonzero(defaults_correct & ~best_correct)) + 0.5
    total = count + 2.0
    centre = (only_best - only_defaults) / total
    variance = only_best + only_defaults - (only_best - only_defaults) ** 2 / total
    margin = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance) / total
    return Gain(
        split,
        float(best_correct.mean()),
        float(defaults_correct.mean()),
        max(-1.0, centre - margin),
        min(1.0, centre + margin),
        count,
    )
