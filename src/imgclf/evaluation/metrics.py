"""Every figure that says how good a set of predictions is.

Two kinds of function live here. Those that count answers read a `confusion_matrix`; those that
look at how sure the answers are read ``labels`` with ``probabilities``:

- ``labels``: integer ``(num_images,)``, the true class of each image, 0 to ``num_classes - 1``.
- ``probabilities``: float64 ``(num_images, num_classes)``, each row sums to 1. Two classes also
  have two columns; the second class is the positive one.

The predicted class is the most probable one, the first on ties. A figure that the images cannot
tell (the recall of a class that none of them shows, anything without images) is NaN, and
``None`` in `ClassificationMetrics.as_dict`. `measure` checks its input; the single functions,
which it shares its work with, trust theirs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imgclf.errors import ArgumentError
from imgclf.evaluation.intervals import Interval, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "LOG_FLOOR",
    "ClassMetrics",
    "ClassificationMetrics",
    "ConfusedPair",
    "MajorityClass",
    "PrecisionRecallCurve",
    "ReliabilityBins",
    "RocCurve",
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "brier_score",
    "check_predictions",
    "class_metrics",
    "confusion_matrix",
    "expected_calibration_error",
    "log_loss",
    "macro_f1",
    "majority_class",
    "measure",
    "most_confused_pairs",
    "precision_recall_curve",
    "predicted_classes",
    "reliability_bins",
    "roc_auc",
    "roc_curve",
    "top_k_accuracy",
]

Labels: TypeAlias = NDArray[np.integer[Any]]
FloatArray: TypeAlias = NDArray[np.float64]
CountArray: TypeAlias = NDArray[np.int64]

LOG_FLOOR = float(np.finfo(np.float64).eps)
"""Smallest probability whose logarithm is taken, 2.2e-16, as in scikit-learn's `log_loss`.

It is float64's in every case, so that a float32 array and its float64 copy give one figure.
"""

TOP_K = 5
"""How many answers `ClassificationMetrics.top_5_accuracy` allows; customary since ImageNet."""

TWO_CLASSES = 2
"""With this many classes the second one is "the positive" and scores are not averaged."""

ROW_SUM_TOLERANCE = 1e-3
"""How far a row may be from a sum of 1; float32 softmax stays within 1e-6, float16 within 1e-3."""


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """How well one class is recognised.

    Attributes:
        class_name: The class.
        precision: Share of correct ones among the images predicted as this class; 0.0 when it is
            never predicted (scikit-learn's ``zero_division=0``).
        recall: Share of recognised ones among the images of this class; NaN without such images.
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
    """One kind of mistake.

    Attributes:
        true_class: Index of the class that the images show.
        predicted_class: Index of the class that was answered.
        num_images: How often that happened.
    """

    true_class: int
    predicted_class: int
    num_images: int


@dataclass(frozen=True, slots=True)
class MajorityClass:
    """What always answering the most frequent class achieves; any classifier must beat it.

    Attributes:
        class_index: The most frequent class among the labels, the first on ties.
        accuracy: Its share of the labels.
    """

    class_index: int
    accuracy: float


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


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityBins:
    """Predictions grouped by their confidence, to compare with how often they are right.

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


@dataclass(frozen=True, slots=True, eq=False)
class ClassificationMetrics:
    """All figures of one set of predictions; see the functions of this module for each.

    Attributes:
        num_images: Number of images measured.
        num_correct: How many of them were classified correctly.
        accuracy: Their share.
        accuracy_interval: 95 % Wilson interval of the accuracy.
        balanced_accuracy: Mean recall.
        macro_f1: Mean F1.
        top_5_accuracy: Share of images whose class is among the five most probable; NaN with
            five classes or fewer, where it would always be 1.
        roc_auc: Area under the ROC curve, macro-averaged with more than two classes.
        average_precision: Area under the precision/recall curve, averaged in the same way.
        log_loss: Mean negative log probability of the true class.
        brier_score: Mean squared error of the probabilities.
        expected_calibration_error: Mean gap between confidence and accuracy, 15 bins.
        majority: The baseline of always answering the most frequent class.
        classes: Figures of each class, in the order of the class indices.
        confusion: int64 ``(num_classes, num_classes)``, rows true, columns predicted.
    """

    num_images: int
    num_correct: int
    accuracy: float
    accuracy_interval: Interval
    balanced_accuracy: float
    macro_f1: float
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
        """Return plain values that any JSON writer accepts; what is NaN here is ``None`` there."""
        return {name: _plain(value) for name, value in asdict(self).items()}


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
        top_5_accuracy=_top_5_accuracy(labels, probabilities),
        roc_auc=roc_auc(labels, probabilities),
        average_precision=average_precision(labels, probabilities),
        log_loss=log_loss(labels, probabilities),
        brier_score=brier_score(labels, probabilities),
        expected_calibration_error=expected_calibration_error(labels, probabilities),
        majority=majority_class(labels),
        classes=class_metrics(confusion, class_names),
        confusion=confusion,
    )


def _top_5_accuracy(labels: Labels, probabilities: FloatArray) -> float:
    """Return the top-5 accuracy, NaN where it would be 1 for any classifier."""
    is_informative = probabilities.shape[1] > TOP_K
    return top_k_accuracy(labels, probabilities, TOP_K) if is_informative else nan


# ---------------------------------------------------------------- counting answers


def predicted_classes(probabilities: FloatArray) -> CountArray:
    """Return the most probable class of each row, the first on ties.

    Args:
        probabilities: float64 ``(num_images, num_classes)``.

    Returns:
        int64 ``(num_images,)``.
    """
    classes: CountArray = np.argmax(probabilities, axis=1).astype(np.int64)
    return classes


def confusion_matrix(labels: Labels, probabilities: FloatArray) -> CountArray:
    """Count how often each class was taken for each other one.

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
    return _mean_of_defined(_recall(confusion))


def macro_f1(confusion: CountArray) -> float:
    """Return the mean F1 of the classes that occur or are predicted, as scikit-learn does.

    Args:
        confusion: int64 ``(num_classes, num_classes)``, from `confusion_matrix`.

    Returns:
        0 to 1; NaN without images.
    """
    return _mean_of_defined(_f1(confusion))


def class_metrics(confusion: CountArray, class_names: Sequence[str]) -> tuple[ClassMetrics, ...]:
    """Say of each class how well it is recognised.

    Args:
        confusion: int64 ``(num_classes, num_classes)``, from `confusion_matrix`.
        class_names: ``num_classes`` names in the order of the rows.

    Returns:
        One entry per class, in the same order.
    """
    columns = (
        _ratio(np.diagonal(confusion), confusion.sum(axis=0), undefined=0.0).tolist(),
        _recall(confusion).tolist(),
        _f1(confusion).tolist(),
        confusion.sum(axis=1).tolist(),
    )
    return tuple(ClassMetrics(*values) for values in zip(class_names, *columns, strict=True))


def most_confused_pairs(confusion: CountArray, k: int = 10) -> list[ConfusedPair]:
    """List the most frequent kinds of mistake.

    Args:
        confusion: int64 ``(num_classes, num_classes)``, from `confusion_matrix`.
        k: Longest list wanted, 0 or more.

    Returns:
        At most `k` pairs, most frequent first, then by class index; none that never happened.
    """
    mistakes = confusion.copy()
    np.fill_diagonal(mistakes, 0)
    # A stable sort of the negated counts keeps equal counts in reading order.
    cells = np.argsort(-mistakes, axis=None, kind="stable")[: max(0, k)]
    true, predicted = np.unravel_index(cells, mistakes.shape)
    counts = mistakes[true, predicted]
    rows = zip(true.tolist(), predicted.tolist(), counts.tolist(), strict=True)
    return [ConfusedPair(*row) for row in rows if row[2] > 0]


def majority_class(labels: Labels) -> MajorityClass:
    """Find the baseline: the most frequent class, and how often it would be right.

    Args:
        labels: Integer ``(num_images,)``, at least one.

    Returns:
        The class with its share of the labels.
    """
    counts = np.bincount(labels)
    winner = int(np.argmax(counts))
    return MajorityClass(class_index=winner, accuracy=int(counts[winner]) / labels.size)


# ---------------------------------------------------------------- ranking by probability


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
    true_probability = _true_class_probability(labels, probabilities)[:, np.newaxis]
    comes_earlier = np.arange(probabilities.shape[1]) < labels[:, np.newaxis]
    is_ahead = probabilities > true_probability
    is_ahead |= (probabilities == true_probability) & comes_earlier
    return _mean(np.count_nonzero(is_ahead, axis=1) < k)


def roc_curve(labels: Labels, probabilities: FloatArray, positive_class: int = 1) -> RocCurve:
    """Trace how many false alarms each true find costs, one class against the rest.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.
        positive_class: Index of the class to find.

    Returns:
        The curve through every distinct score. A rate is NaN where it has no images to count.
    """
    positives, negatives, scores = _cumulative_counts(labels, probabilities, positive_class)
    return RocCurve(
        false_positive_rate=_ratio(negatives, np.full_like(negatives, negatives[-1]), nan),
        true_positive_rate=_ratio(positives, np.full_like(positives, positives[-1]), nan),
        thresholds=scores,
    )


def precision_recall_curve(
    labels: Labels, probabilities: FloatArray, positive_class: int = 1
) -> PrecisionRecallCurve:
    """Trace how pure the finds are at each share of finds, one class against the rest.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.
        positive_class: Index of the class to find.

    Returns:
        The curve through every distinct score, arranged as scikit-learn's. The recall is NaN
        when no image shows the class.
    """
    positives, negatives, scores = _cumulative_counts(labels, probabilities, positive_class)
    recall = _ratio(positives, np.full_like(positives, positives[-1]), undefined=nan)
    precision = _ratio(positives, positives + negatives, undefined=1.0)
    return PrecisionRecallCurve(precision[::-1], recall[::-1], scores[:0:-1])


def roc_auc(labels: Labels, probabilities: FloatArray) -> float:
    """Return how often an image of a class gets a higher score for it than one of another class.

    That is the area under `roc_curve`; a tie counts one half. With more than two classes it is
    the plain mean of each class against the rest, over the classes that can be measured.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.

    Returns:
        0 to 1, where 0.5 is chance; NaN when all images show one class.
    """
    return _one_against_rest(_binary_auc, labels, probabilities)


def average_precision(labels: Labels, probabilities: FloatArray) -> float:
    """Return the mean precision at which the images of a class are found.

    That is the area under `precision_recall_curve`, summed in steps, not interpolated. With more
    than two classes it is the plain mean of each class against the rest, over those that occur.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``.

    Returns:
        0 to 1; NaN for two classes when no image shows the second.
    """
    return _one_against_rest(_binary_average_precision, labels, probabilities)


# ---------------------------------------------------------------- trusting the probabilities


def log_loss(labels: Labels, probabilities: FloatArray) -> float:
    """Return the mean negative natural logarithm of the true class's probability.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``; clipped to `LOG_FLOOR` and
            ``1 - LOG_FLOOR``, so one image costs at most 36.04.

    Returns:
        0 (certain and right) or more; NaN without images.
    """
    true_probability = _true_class_probability(labels, probabilities).astype(np.float64)
    return _mean(-np.log(np.clip(true_probability, LOG_FLOOR, 1.0 - LOG_FLOOR)))


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
    return _mean(squared) / (2.0 if probabilities.shape[1] == TWO_CLASSES else 1.0)


def reliability_bins(
    labels: Labels, probabilities: FloatArray, num_bins: int = 15
) -> ReliabilityBins:
    """Group the predictions by confidence and see how often each group is right.

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
        confidence=_ratio(np.bincount(bins, confidence, num_bins), counts, undefined=nan),
        accuracy=_ratio(np.bincount(bins, is_correct, num_bins), counts, undefined=nan),
    )


def expected_calibration_error(
    labels: Labels, probabilities: FloatArray, num_bins: int = 15
) -> float:
    """Return how far the stated confidence is from the accuracy, on average.

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


# ---------------------------------------------------------------- checking


def check_predictions(labels: Labels, probabilities: FloatArray) -> None:
    """Refuse arrays that are not true classes with their predicted probabilities.

    Args:
        labels: To be integer ``(num_images,)``, 0 to ``num_classes - 1``.
        probabilities: To be floating ``(num_images, num_classes)`` with finite rows that sum to 1.

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
            "that sum to 1. Logits become such rows by imgclf.evaluation.calibration.softmax."
        )


def _check_class_names(class_names: Sequence[str], num_classes: int) -> None:
    """Refuse names that do not belong to the columns."""
    if len(class_names) != num_classes:
        raise ArgumentError(
            f"class_names has {len(class_names)} names and probabilities {num_classes} columns: "
            "give one name per column."
        )


def _shown(row: FloatArray, limit: int = 4) -> str:
    """Return a row in a few characters, however many classes there are."""
    numbers = ", ".join(f"{value:.3g}" for value in row[:limit])
    return f"[{numbers}, ...]" if row.size > limit else f"[{numbers}]"


# ---------------------------------------------------------------- shared arithmetic


def _recall(confusion: CountArray) -> FloatArray:
    """Return the recall of each class, NaN where it does not occur."""
    return _ratio(np.diagonal(confusion), confusion.sum(axis=1), undefined=nan)


def _f1(confusion: CountArray) -> FloatArray:
    """Return the F1 of each class, NaN where it neither occurs nor is predicted."""
    occurrences = confusion.sum(axis=0) + confusion.sum(axis=1)
    return _ratio(2 * np.diagonal(confusion), occurrences, undefined=nan)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any], undefined: float) -> FloatArray:
    """Divide element by element; where the denominator is 0 the result is `undefined`."""
    result = np.full(denominator.shape, undefined, dtype=np.float64)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _mean(values: NDArray[Any]) -> float:
    """Return the mean, NaN (without NumPy's warning) of nothing."""
    return float(values.mean()) if values.size else nan


def _mean_of_defined(values: FloatArray) -> float:
    """Return the mean of what is not NaN."""
    return _mean(values[~np.isnan(values)])


def _true_class_probability(labels: Labels, probabilities: FloatArray) -> FloatArray:
    """Pick each image's probability of its true class."""
    return probabilities[np.arange(labels.size), labels]


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
    return _mean_of_defined(np.array(scores))


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
    return _mean(num_right / num_found)


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


def _plain(value: Any) -> Any:
    """Turn arrays and tuples into lists, and numbers that JSON does not know into None."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
