"""What a served classifier says about itself."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from imgclf.classifiers.bundle import read_bundle
from imgclf.errors import ArgumentError, BundleError, DataNotFoundError

if TYPE_CHECKING:
    from imgclf.classifiers.bundle import Manifest
    from imgclf.classifiers.classifier import Classifier
    from imgclf.serving.served import Served

__all__ = ["card_of"]

OFFERED_PRECISIONS = (0.9, 0.95, 0.98, 0.99, 0.995)
"""Shares of right answers of which one can be asked for; below it an answer is unsure."""


def card_of(served: Served) -> dict[str, Any]:
    """Return a classifier's card as plain values for JSON.

    Args:
        served: The classifier; its file is read.

    Returns:
        ``name`` and ``version``; ``classes``, their names; ``input``, how it reads an image;
        ``accuracy`` with its interval, ``trained_on``, ``created`` and ``architecture``, or None
        where that is not known; ``unsure``, below which probability an answer misses a precision;
        ``tells_unfamiliar``, whether images unlike the training images are flagged; ``engine``,
        what computes.
    """
    classifier = served.classifier
    policy, data = classifier.policy, classifier.data
    height, width = policy.image_size
    manifest = _manifest_of(served)
    return {
        "name": served.name,
        "version": served.version,
        "classes": list(classifier.class_names),
        "input": {
            "height": height,
            "width": width,
            "channels": policy.channels,
            "resize": policy.resize,
        },
        "accuracy": None if classifier.figures is None else classifier.figures.as_dict(),
        "trained_on": None if data is None else data.as_dict(),
        "created": None if manifest is None else manifest.created,
        "architecture": None if manifest is None else _architecture(manifest),
        "unsure": _offered_precisions(classifier),
        "tells_unfamiliar": classifier.record.familiarity is not None,
        "engine": classifier.engine,
    }


def _manifest_of(served: Served) -> Manifest | None:
    """Return what the classifier's file says; None where it is not the one that was loaded."""
    if served.path is None:
        return None
    try:
        manifest = read_bundle(served.path, keep_weights=False).manifest
        with served.path.open("rb") as file:
            version = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except (BundleError, DataNotFoundError, OSError):  # It is being replaced: a reload follows.
        return None
    return manifest if version == served.version else None


def _architecture(manifest: Manifest) -> dict[str, Any]:
    record = manifest.architecture
    return {
        "name": record.name,
        "options": dict(record.options),
        "package": record.distribution,
        "pretrained": record.origins(),
    }


def _offered_precisions(classifier: Classifier) -> list[dict[str, float]]:
    """Return the thresholds that differ, from the least precise on, with what they keep."""
    if classifier.calibration is None:
        return []
    coverages = {entry.value: entry.coverage for entry in classifier.calibration.thresholds}
    precisions: dict[float, float] = {}  # the highest that each threshold reaches
    for precision in OFFERED_PRECISIONS:
        try:
            precisions[classifier.threshold(precision)] = precision
        except ArgumentError:  # None reaches it, nor any of those that follow.
            break
    return [
        {"min_precision": precision, "threshold": threshold, "coverage": coverages[threshold]}
        for threshold, precision in precisions.items()
    ]
