"""Measuring a classifier on images that it did not learn from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgclf.classifier import Classifier
from imgclf.data.folder import match_classes, read_folder
from imgclf.data.generators import Batches
from imgclf.data.samples import Quarantined, collect_samples
from imgclf.data.store import open_store
from imgclf.errors import ArgumentError, DataError
from imgclf.evaluation.intervals import Interval
from imgclf.evaluation.metrics import ClassificationMetrics, measure
from imgclf.evaluation.predictions import predicted_classes

__all__ = ["Evaluation", "evaluate", "evaluate_pixels"]

EVALUATE_AT_ONCE = 64
"""Images that are read from the store at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What was measured, and on what.

    Attributes:
        metrics: All figures; see `ClassificationMetrics`.
        class_names: Names of the classes, in the classifier's order.
        paths: ``(num_images,)`` absolute paths.
        labels: ``(num_images,)`` true class indices.
        probabilities: float64 ``(num_images, num_classes)``.
        quarantined: Files that look like images but could not be used.
        warnings: Remarks, one line each.
    """

    metrics: ClassificationMetrics
    class_names: tuple[str, ...]
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    quarantined: tuple[Quarantined, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """Share of images that are classified correctly, 0 to 1."""
        return self.metrics.accuracy

    @property
    def interval(self) -> Interval:
        """95 % Wilson interval of the accuracy."""
        return self.metrics.accuracy_interval

    @property
    def predicted(self) -> NDArray[np.int64]:
        """``(num_images,)`` predicted class indices."""
        return predicted_classes(self.probabilities)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: the figures, the classes and what was left out."""
        return {
            **self.metrics.as_dict(),
            "class_names": list(self.class_names),
            "quarantined": [
                {"path": item.path, "reason": item.reason, "message": item.message}
                for item in self.quarantined
            ],
            "warnings": list(self.warnings),
        }


def evaluate(
    classifier: Classifier,
    images: str | os.PathLike[str] | Batches,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a classifier on a folder of images, in float32, with its own preprocessing.

    Args:
        classifier: What to measure.
        images: A folder with one sub-folder per class, matched to the classifier's classes by
            name; or batches of `imgclf.make_generators`, whose images are taken plain.
        progress: Called while a folder is scanned with the number of files done and in all.

    Returns:
        The figures. Unreadable images are left out and listed.

    Raises:
        DataNotFoundError: The folder does not exist.
        DataError: It has no usable images, or a class that the classifier does not know.
        ArgumentError: The batches have other classes or another size than the classifier.

    Example:
        >>> result = imgclf.evaluate(clf, "data/test")       # doctest: +SKIP
        >>> result.accuracy, result.interval                 # doctest: +SKIP
    """
    if isinstance(images, Batches):
        return _evaluate_batches(classifier, images)
    folder = read_folder(images, min_classes=1)
    if folder.layout == "splits":
        raise DataError(
            f"{folder.root} holds {', '.join(sorted(folder.splits))}: give one of them, "
            f"for example {folder.root / sorted(folder.splits)[0]}."
        )
    files, warning = match_classes(folder, classifier.class_names)
    store = open_store(folder, classifier.policy, progress=progress)
    samples, quarantined = collect_samples(store, files)
    rows = np.array([sample.row for sample in samples], np.int64)
    return _measured(
        classifier,
        paths=tuple(sample.path for sample in samples),
        labels=np.array([sample.label for sample in samples], np.int64),
        probabilities=classifier.predict_pixels(
            store.pixels.rows(rows[first : first + EVALUATE_AT_ONCE])
            for first in range(0, len(rows), EVALUATE_AT_ONCE)
        ),
        quarantined=tuple(quarantined),
        warnings=(warning,) if warning else (),
    )


def evaluate_pixels(
    classifier: Classifier,
    batches: Iterable[NDArray[np.uint8]],
    labels: Sequence[int],
    paths: Sequence[str],
) -> Evaluation:
    """Measure a classifier on images that are already decoded to its policy.

    Args:
        classifier: What to measure.
        batches: Arrays ``(batch, height, width, channels)``, uint8, 0..255.
        labels: ``(num_images,)`` true indices into the classifier's classes.
        paths: ``(num_images,)`` where the images come from.

    Returns:
        The figures.
    """
    probabilities = classifier.predict_pixels(batches)
    return _measured(classifier, tuple(paths), np.array(labels, np.int64), probabilities)


def _evaluate_batches(classifier: Classifier, batches: Batches) -> Evaluation:
    if batches.class_names != classifier.class_names or batches.policy != classifier.policy:
        raise ArgumentError(
            f"The batches have the classes {batches.class_names} and the size "
            f"{batches.policy.image_size}; the classifier has {classifier.class_names} and "
            f"{classifier.policy.image_size}: give a folder instead, it is matched by name."
        )
    return _measured(
        classifier, batches.file_paths, batches.labels, classifier.predict_pixels(batches.pixels())
    )


def _measured(
    classifier: Classifier,
    paths: tuple[str, ...],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    quarantined: tuple[Quarantined, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Evaluation:
    metrics = measure(labels, probabilities, classifier.class_names)
    return Evaluation(
        metrics, classifier.class_names, paths, labels, probabilities, quarantined, warnings
    )
