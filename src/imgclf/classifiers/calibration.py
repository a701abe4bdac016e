"""Probabilities that mean what they say: temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log, sqrt

import numpy as np

from imgclf.classifiers.abstention import threshold_table
from imgclf.classifiers.bundle import CalibrationRecord, ThresholdRecord
from imgclf.errors import ArgumentError
from imgclf.figures.predictions import (
    FloatArray,
    Labels,
    check_predictions,
    predicted_classes,
)
from imgclf.figures.reliability import LOG_FLOOR, expected_calibration_error, log_loss

__all__ = [
    "MAX_TEMPERATURE",
    "MIN_TEMPERATURE",
    "apply_temperature",
    "calibrate",
    "fit_temperature",
    "softmax",
]

MIN_TEMPERATURE = 0.05
"""Lowest temperature that `fit_temperature` returns: answers become much more certain."""

MAX_TEMPERATURE = 20.0
"""Highest temperature that `fit_temperature` returns: answers become nearly uniform."""

_MAX_STEPS = 60
"""Bisection alone narrows the bracket to rounding in this many steps; Newton needs about 6."""

_BLOCK_SIZE = 131_072
"""Numbers looked at together: 1 MiB stays in the processor's cache and memory stays flat."""

_STEP_TOLERANCE = 1e-5
"""Relative step at which the search ends: such a step changes the loss by about 1e-10."""


@dataclass(frozen=True, slots=True)
class _Loss:
    """What the log loss is at one inverse temperature, and how it changes there.

    Attributes:
        value: As `reliability.log_loss` reports it, so no image costs more than 36.04.
        slope: First derivative, of the loss without that cap.
        curvature: Second derivative of the same, never negative.
    """

    value: float
    slope: float
    curvature: float


def softmax(logits: FloatArray, temperature: float = 1.0) -> FloatArray:
    """Turn a network's raw outputs into probabilities.

    Args:
        logits: float64 ``(num_images, num_classes)``, any finite numbers.
        temperature: What the logits are divided by, above 0.

    Returns:
        float64 ``(num_images, num_classes)``, rows sum to 1.
    """
    # Shifting before dividing keeps the largest at exactly 0, however small the temperature.
    shifted: FloatArray = logits - logits.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):  # -36 / 1e-308 is minus infinity, whose exponential is 0
        shifted /= temperature
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=1, keepdims=True)
    return shifted


def calibrate(labels: Labels, probabilities: FloatArray) -> CalibrationRecord:
    """Fit the temperature, then the thresholds of the calibrated probabilities.

    Args:
        labels: Integer ``(num_images,)``, the true classes of the validation images.
        probabilities: float64 ``(num_images, num_classes)``, the network's own.

    Returns:
        The record, with what the temperature changed on these images.
    """
    temperature = fit_temperature(labels, probabilities)
    calibrated = apply_temperature(probabilities, temperature)
    return CalibrationRecord(
        temperature=temperature,
        num_images=labels.size,
        log_loss_before=log_loss(labels, probabilities),
        log_loss_after=log_loss(labels, calibrated),
        ece_before=expected_calibration_error(labels, probabilities),
        ece_after=expected_calibration_error(labels, calibrated),
        thresholds=[
            ThresholdRecord(
                min_precision=precision,
                value=threshold.value,
                coverage=threshold.coverage,
                precision=threshold.precision,
            )
            for precision, threshold in threshold_table(labels, calibrated)
        ],
    )


def fit_temperature(labels: Labels, probabilities: FloatArray) -> float:
    """Find the temperature that makes confidence match accuracy, on images kept from training.

    Use the validation images: on training images every network looks more certain than it should
    be. Pass the result to `apply_temperature`. Above 1 the network was too certain, below 1 not
    certain enough. Logits are accepted by way of `softmax`.

    The log loss is convex in ``1 / temperature``, so Newton's method inside a shrinking bracket
    finds its only minimum.

    Args:
        labels: Integer ``(num_images,)``, the true classes.
        probabilities: float64 ``(num_images, num_classes)``, rows sum to 1.

    Returns:
        The temperature between `MIN_TEMPERATURE` and `MAX_TEMPERATURE` with the lowest log loss,
        never above the loss at 1. Exactly 1 when every answer is right: such images cannot say
        how much certainty is too much, as the loss falls all the way to a temperature of 0.

    Raises:
        ArgumentError: If the arrays are not predictions; see `predictions.check_predictions`.

    References:
        C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
    """
    check_predictions(labels, probabilities)
    gaps = _gaps_to_true_class(labels, probabilities)
    if gaps.max() <= 0.0:
        return 1.0
    return 1.0 / _minimise_loss(gaps)


def apply_temperature(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Make probabilities less certain (temperature above 1) or more so (below 1).

    No answer changes: the most probable class of every row stays the same, also under ties,
    where equal probabilities stay equal. Where rounding would let another class catch up with
    the winner, the winner is put one floating-point step ahead. Zeros, which would stay infinitely
    certain at every temperature, are first raised to `reliability.LOG_FLOOR`, or to the smallest
    positive number of their row where that is less, so that no two classes swap places.

    Args:
        probabilities: float64 ``(num_images, num_classes)``, rows sum to 1.
        temperature: Above 0, usually from `fit_temperature`; at 1 nothing is changed at all.

    Returns:
        float64 ``(num_images, num_classes)``, a new array with rows that sum to 1.

    Raises:
        ArgumentError: If the temperature is not a finite number above 0.

    Example:
        >>> apply_temperature(np.array([[0.9, 0.1]]), 2.0).round(3).tolist()
        [[0.75, 0.25]]
    """
    if not (isfinite(temperature) and temperature > 0.0):
        raise ArgumentError(
            f"temperature={temperature!r} is not accepted: give a finite number above 0."
        )
    if temperature == 1.0:
        return probabilities.astype(np.float64)
    scaled = softmax(_log(probabilities), temperature)
    return _with_winners(scaled, predicted_classes(probabilities))


def _minimise_loss(gaps: FloatArray) -> float:
    """Return the inverse temperature of the lowest loss by Newton's method in a bracket."""
    start = _loss(gaps, 1.0)
    limit = 1.0 / (MIN_TEMPERATURE if start.slope < 0.0 else MAX_TEMPERATURE)
    inverse, loss = limit, _loss(gaps, limit)
    if (loss.slope < 0.0) != (start.slope < 0.0):
        inverse, loss = _search_between(gaps, start, limit)
    # The capped loss that is reported may disagree with the one that is minimised.
    return inverse if loss.value <= start.value else 1.0


def _search_between(gaps: FloatArray, start: _Loss, limit: float) -> tuple[float, _Loss]:
    """Return the inverse temperature between 1 and `limit` at which the slope vanishes."""
    inverse, loss = 1.0, start
    low, high = min(1.0, limit), max(1.0, limit)
    for _ in range(_MAX_STEPS):
        proposed = _newton_step(inverse, loss, low, high)
        if abs(proposed - inverse) <= _STEP_TOLERANCE * inverse:
            break
        inverse, loss = proposed, _loss(gaps, proposed)
        low, high = (inverse, high) if loss.slope < 0.0 else (low, inverse)
    return inverse, loss


def _newton_step(inverse: float, loss: _Loss, low: float, high: float) -> float:
    """Return where the slope would vanish, or the middle of the bracket if that is outside."""
    if loss.curvature > 0.0:
        proposed = inverse - loss.slope / loss.curvature
        if low < proposed < high:
            return proposed
    return sqrt(low * high)


def _loss(gaps: FloatArray, inverse: float) -> _Loss:
    """Evaluate the loss, log-sum-exp of the scaled gaps, and its derivatives in `inverse`.

    The derivatives are the mean and the variance of the gaps under the scaled probabilities.
    """
    rows_per_block = max(1, _BLOCK_SIZE // gaps.shape[1])
    starts = range(0, len(gaps), rows_per_block)
    sums = np.array([_loss_sums(gaps[row : row + rows_per_block], inverse) for row in starts])
    value, slope, curvature = (sums.sum(axis=0) / len(gaps)).tolist()
    return _Loss(value, slope, curvature)


def _loss_sums(gaps: FloatArray, inverse: float) -> tuple[float, float, float]:
    """Return what `_loss` averages, summed over some of the rows."""
    scaled = gaps * inverse
    peak = scaled.max(axis=1)
    scaled -= peak[:, np.newaxis]
    weights = np.exp(scaled, out=scaled)
    total = weights.sum(axis=1)
    weights *= gaps
    mean = weights.sum(axis=1) / total
    mean_square = np.einsum("ic,ic->i", weights, gaps) / total
    value = np.minimum(peak + np.log(total), -log(LOG_FLOOR))
    return float(value.sum()), float(mean.sum()), float((mean_square - mean**2).sum())


def _gaps_to_true_class(labels: Labels, probabilities: FloatArray) -> FloatArray:
    """Return each class's log probability less that of the true class."""
    gaps = _log(probabilities)
    gaps -= gaps[np.arange(labels.size), labels][:, np.newaxis]
    return gaps


def _log(probabilities: FloatArray) -> FloatArray:
    """Return float64 logarithms, finite also for zeros; see `apply_temperature`."""
    raised = probabilities.astype(np.float64)
    is_zero = raised <= 0.0
    if is_zero.any():
        raised[is_zero] = LOG_FLOOR
        floors = raised.min(axis=1, keepdims=True)
        raised = np.where(is_zero, floors, raised)
    return np.log(raised, out=raised)


def _with_winners(probabilities: FloatArray, winners: Labels) -> FloatArray:
    """Put each row's winner back in front where rounding made an earlier class equal to it."""
    (rows,) = np.nonzero(predicted_classes(probabilities) != winners)
    if rows.size:
        probabilities[rows, winners[rows]] = np.nextafter(probabilities[rows].max(axis=1), 1.0)
    return probabilities
