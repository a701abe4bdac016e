"""What a search has gained over the defaults, with the band in which chance alone moves it."""

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
    """How much better one classifier is than another on the same images.

    Attributes:
        split: ``"test"``, or ``"val"``: images that also chose the trial flatter it.
        best_accuracy: Accuracy of the best trial.
        defaults_accuracy: Accuracy of its architecture's defaults.
        low: Lower end of the 95 % interval of the difference.
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
        """Accuracy of the best trial less that of the defaults."""
        return self.best_accuracy - self.defaults_accuracy

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def paired_gain(
    best_correct: NDArray[np.bool_],
    defaults_correct: NDArray[np.bool_],
    split: Literal["test", "val"],
    confidence: float = 0.95,
) -> Gain:
    """Compare two classifiers on the images that both were shown.

    Only the images on which they differ carry information, so that the band is much narrower
    than two separate intervals. It says what the choice of images can do, not what another
    training of the same options would give: that is what executions are for.

    Args:
        best_correct: bool ``(num_images,)``, whether the best trial got each image right.
        defaults_correct: bool ``(num_images,)``, the same of the defaults, in the same order.
        split: Which images these are.
        confidence: How often such intervals contain the true difference.

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
            f"{best_correct.size} and {defaults_correct.size} answers cannot be compared: "
            "give one for each of the same images."
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
