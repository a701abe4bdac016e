"""Saying "unsure" below a threshold, so that what is answered is right often enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imgclf.errors import ArgumentError
from imgclf.figures.predictions import (
    FloatArray,
    Labels,
    check_predictions,
    mean,
    predicted_classes,
)

__all__ = [
    "PRECISIONS",
    "Selective",
    "Threshold",
    "find_threshold",
    "threshold_for_precision",
    "threshold_table",
]

PRECISIONS = (*(percent / 100 for percent in range(50, 100)), 0.995, 0.999, 1.0)
"""Precisions for which a bundle keeps a threshold."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """When to answer and when to say "not sure".

    Attributes:
        value: Answer when the top probability is at least this, 0 to 1.
        coverage: Share of the images that are answered, 0 to 1.
        precision: Share of correct ones among the answers, 0 to 1.
    """

    value: float
    coverage: float
    precision: float


@dataclass(frozen=True, slots=True)
class Selective:
    """What abstaining below a threshold did on one set of images.

    Attributes:
        min_precision: The precision that was asked for.
        threshold: Answers below this probability are "unsure".
        num_accepted: Images that were answered.
        coverage: Their share.
        precision: Share of correct ones among them; NaN when none was answered.
    """

    min_precision: float
    threshold: float
    num_accepted: int
    coverage: float
    precision: float

    @classmethod
    def measure(
        cls, labels: Labels, probabilities: FloatArray, min_precision: float, threshold: float
    ) -> Selective:
        """Count what is answered at `threshold`, and how much of that is right."""
        is_accepted = probabilities.max(axis=1) >= threshold
        is_correct = predicted_classes(probabilities) == labels
        return cls(
            min_precision=min_precision,
            threshold=threshold,
            num_accepted=int(is_accepted.sum()),
            coverage=mean(is_accepted),
            precision=mean(is_correct[is_accepted]),
        )


def threshold_for_precision(
    labels: Labels, probabilities: FloatArray, min_precision: float
) -> Threshold | None:
    """Find how sure the classifier must be for its answers to reach a wanted precision.

    Of all thresholds that reach it, the one that answers most images is taken. It is chosen
    on these images, so take the validation images, and report the precision on others.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``, rows sum to 1.
        min_precision: Wanted share of correct answers, above 0 and at most 1.

    Returns:
        The threshold with what it achieves here, or None when no threshold achieves it.

    Raises:
        ArgumentError: If `min_precision` is out of range or the arrays are not predictions.

    References:
        Y. Geifman and R. El-Yaniv, "Selective Classification for Deep Neural Networks",
        NeurIPS 2017.
    """
    check_predictions(labels, probabilities)
    if not 0.0 < min_precision <= 1.0:
        raise ArgumentError(
            f"min_precision={min_precision!r} is not accepted: "
            "give a number above 0 and at most 1, such as 0.99."
        )
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    num_correct = np.cumsum((predicted_classes(probabilities) == labels)[order])
    precision = num_correct / np.arange(1, labels.size + 1)
    # A threshold cannot part equally confident images, so only the last of each run can be it.
    is_cut = np.append(ordered[1:] != ordered[:-1], np.True_)
    cuts = np.flatnonzero(is_cut & (precision >= min_precision))
    if cuts.size == 0:
        return None
    last = int(cuts[-1])
    return Threshold(float(ordered[last]), (last + 1) / labels.size, float(precision[last]))


def threshold_table(labels: Labels, probabilities: FloatArray) -> list[tuple[float, Threshold]]:
    """Find the threshold of every precision in `PRECISIONS` that can be reached.

    Args:
        labels: Integer ``(num_images,)``, the true classes of the validation images.
        probabilities: float64 ``(num_images, num_classes)``, calibrated.

    Returns:
        ``(precision, threshold)``, rising.
    """
    found = (
        (precision, threshold_for_precision(labels, probabilities, precision))
        for precision in PRECISIONS
    )
    return [(precision, threshold) for precision, threshold in found if threshold is not None]


def find_threshold(table: Sequence[tuple[float, float]], min_precision: float) -> float:
    """Look up how sure a classifier must be to reach a precision.

    Args:
        table: ``(precision, threshold)``, rising.
        min_precision: Wanted share of correct answers, above 0 and at most 1.

    Returns:
        The threshold of the next precision in the table.

    Raises:
        ArgumentError: No threshold reaches it, or it is no share.
    """
    if not 0.0 < min_precision <= 1.0:
        raise ArgumentError(
            f"min_precision={min_precision!r} is not accepted: "
            "give a number above 0 and at most 1, such as 0.95."
        )
    for precision, threshold in table:
        if precision >= min_precision - 1e-9:
            return threshold
    highest = f"at most {table[-1][0]:g}" if table else "none at all"
    raise ArgumentError(
        f"min_precision={min_precision:g} was reached by no threshold on the validation images: "
        f"{highest} was; ask for less or train a better classifier."
    )
