"""What a served classifier says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgclf.errors import ArgumentError

if TYPE_CHECKING:
    from imgclf.classifiers.classifier import Classifier

__all__ = ["card_of"]

OFFERED_PRECISIONS = (0.9, 0.95, 0.98, 0.99, 0.995)
"""Shares of right answers of which one can be asked for; below it an answer is unsure."""


def card_of(classifier: Classifier) -> dict[str, Any]:
    """Return a classifier's card as plain values for JSON.

    Args:
        classifier: The classifier.

    Returns:
        ``classes``, their names; ``input``, how it reads an image; ``accuracy`` with its interval,
        and ``trained_on``, or None where that is not known; ``architecture``, or None where the
        file does not name it; ``unsure``, below which probability an answer misses a precision;
        ``tells_unfamiliar``, whether images unlike the training images are flagged.
    """
    policy, data = classifier.policy, classifier.data
    height, width = policy.image_size
    return {
        "classes": list(classifier.class_names),
        "input": {
            "height": height,
            "width": width,
            "channels": policy.channels,
            "resize": policy.resize,
        },
        "accuracy": None if classifier.figures is None else classifier.figures.model_dump(),
        "trained_on": None if data is None else data.model_dump(),
        "unsure": list(_offered_precisions(classifier)),
        "tells_unfamiliar": classifier.record.familiarity is not None,
        "engine": classifier.engine,
    }


def _offered_precisions(classifier: Classifier) -> list[dict[str, float]]:
    """Return the thresholds that differ, from the least precise on, with what they keep."""
    if classifier.calibration is None:
        return []
    by_threshold = {entry.value: entry.coverage for entry in classifier.calibration.thresholds}
    offered: list[dict[str, float]] = []
    for precision in OFFERED_PRECISIONS:
        try:
            threshold = classifier.threshold(precision)
        except ArgumentError:  # None reaches it, nor any of those that follow.
            break
        offered.append(
            {
                "min_precision": precision,
                "threshold": threshold,
                "coverage": by_threshold[threshold],
            }
        )
    return offered
