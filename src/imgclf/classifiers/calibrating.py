"""What a bundle keeps about its probabilities, fitted on the validation images."""

from __future__ import annotations

from imgclf.classifiers.abstention import threshold_table
from imgclf.classifiers.bundle import CalibrationRecord, ThresholdRecord
from imgclf.classifiers.calibration import apply_temperature, fit_temperature
from imgclf.figures.predictions import FloatArray, Labels
from imgclf.figures.reliability import expected_calibration_error, log_loss

__all__ = ["calibrate"]


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
