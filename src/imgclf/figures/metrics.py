"""All figures of one set of predictions.

See `predictions` for the meaning of ``labels`` and ``probabilities``, and `confusion`, `ranking`
and `reliability` for the single figures. `measure` checks its input; those functions do not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf.errors import ArgumentError
from imgclf.figures.confusion import (
    ClassMetrics,
    MajorityClass,
    accuracy,
    balanced_accuracy,
    class_metrics,
    confusion_matrix,
    macro_f1,
    majority_class,
)
from imgclf.figures.intervals import Interval, wilson_interval
from imgclf.figures.predictions import CountArray, FloatArray, Labels, check_predictions
from imgclf.figures.ranking import average_precision, roc_auc, top_k_accuracy
from imgclf.figures.reliability import brier_score, expected_calibration_error, log_loss

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ClassificationMetrics",
    "measure",
]

FEWEST_FOR_TOP_K = 10
"""Fewest classes for which top-3 and top-5 accuracy are informative."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassificationMetrics:
    """All figures of one set of predictions.

    Attributes:
        num_images: Number of images measured.
        num_correct: How many of them were classified correctly.
        accuracy: Their share.
        accuracy_interval: 95 % Wilson interval of the accuracy.
        balanced_accuracy: Mean recall.
        macro_f1: Mean F1.
        top_3_accuracy: Share of images whose class is among the three most probable; NaN with
            fewer than ten classes.
        top_5_accuracy: The same for the five most probable.
        roc_auc: Area under the ROC curve, macro-averaged with more than two classes.
        average_precision: Area under the precision/recall curve, averaged in the same way.
        log_loss: Mean negative log probability of the true class.
        brier_score: Mean squared error of the probabilities.
        expected_calibration_error: Mean gap between confidence and accuracy, 15 bins.
        majority: The majority-class baseline.
        classes: Figures of each class, in the order of the class indices.
        confusion: int64 ``(num_classes, num_classes)``, rows true, columns predicted.
    """

    num_images: int
    num_correct: int
    accuracy: float
    accuracy_interval: Interval
    balanced_accuracy: float
    macro_f1: float
    top_3_accuracy: float
    top_5_accuracy: float
    roc_auc: float
    average_precision: float
    log_loss: float
    brier_score: float
    expected_calibration_error: float
    majority: MajorityClass
    classes: tuple[ClassMetrics, ...]
    confusion: CountArray

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with ``None`` for NaN."""
        return {name: plain_values(value) for name, value in asdict(self).items()}


def measure(
    labels: Labels, probabilities: FloatArray, class_names: Sequence[str]
) -> ClassificationMetrics:
    """Compute every figure of a set of predictions at once.

    Args:
        labels: Integer ``(num_images,)``, the true classes, 0 to ``num_classes - 1``.
        probabilities: float64 ``(num_images, num_classes)``, rows sum to 1.
        class_names: ``num_classes`` names in the order of the columns.

    Returns:
        The figures; `ClassificationMetrics.as_dict` makes them ready for JSON.

    Raises:
        ArgumentError: If the arrays are empty, do not fit each other or are not what they should
            be, or if the number of names is not the number of columns.

    Example:
        >>> figures = measure(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]), ["cat", "dog"])
        >>> figures.accuracy, figures.roc_auc, figures.classes[0].precision
        (0.5, 1.0, 0.5)
    """
    check_predictions(labels, probabilities)
    _check_class_names(class_names, num_classes=probabilities.shape[1])
    confusion = confusion_matrix(labels, probabilities)
    num_correct = int(np.trace(confusion))
    return ClassificationMetrics(
        num_images=labels.size,
        num_correct=num_correct,
        accuracy=accuracy(confusion),
        accuracy_interval=wilson_interval(num_correct, labels.size),
        balanced_accuracy=balanced_accuracy(confusion),
        macro_f1=macro_f1(confusion),
        top_3_accuracy=_top_k_accuracy(labels, probabilities, 3),
        top_5_accuracy=_top_k_accuracy(labels, probabilities, 5),
        roc_auc=roc_auc(labels, probabilities),
        average_precision=average_precision(labels, probabilities),
        log_loss=log_loss(labels, probabilities),
        brier_score=brier_score(labels, probabilities),
        expected_calibration_error=expected_calibration_error(labels, probabilities),
        majority=majority_class(labels),
        classes=class_metrics(confusion, class_names),
        confusion=confusion,
    )


def _top_k_accuracy(labels: Labels, probabilities: FloatArray, k: int) -> float:
    """Return the top-k accuracy, NaN where there are too few classes for it."""
    is_informative = probabilities.shape[1] >= FEWEST_FOR_TOP_K
    return top_k_accuracy(labels, probabilities, k) if is_informative else nan


def _check_class_names(class_names: Sequence[str], num_classes: int) -> None:
    """Refuse names that do not belong to the columns."""
    if len(class_names) != num_classes:
        raise ArgumentError(
            f"class_names has {len(class_names)} names and probabilities {num_classes} columns: "
            "give one name per column."
        )


def plain_values(value: Any) -> Any:
    """Turn arrays and tuples into lists, and NaN and infinity into None, for JSON."""
    if isinstance(value, np.ndarray):
        return plain_values(value.tolist())
    if isinstance(value, dict):
        return {name: plain_values(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(entry) for entry in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
