"""Refits: training the best candidate on training and validation images together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgclf.classifiers.classifier import Classifier
from imgclf.data.batches.dataset import Batches
from imgclf.data.batches.image_data import ImageData, build_data
from imgclf.data.store.pixel_store import PixelSource
from imgclf.errors import ArgumentError
from imgclf.evaluation.evaluator import evaluate
from imgclf.tuning.candidate_training import build_network, candidate_plan
from imgclf.tuning.candidates import candidate_settings
from imgclf.tuning.tasks import RefitTask
from imgclf.workflow.learner import fit_by_settings

__all__ = ["join_batches", "run_refit"]


def run_refit(task: RefitTask, report: Callable[[dict[str, Any]], None]) -> None:
    """Train on training and validation images together, and evaluate on the test images.

    No images are left to choose the best epoch: the weights of the last one are kept.

    Args:
        task: The refit.
        report: Called with ``{"accuracy": ...}``, the accuracy on the test images.

    Raises:
        ArgumentError: There are no test images.
    """
    settings = candidate_settings(task.settings, task.candidate)
    data = build_data(candidate_plan(task.plan, settings))
    if data.test is None:
        raise ArgumentError("A refit cannot be measured without test images: give some.")
    train = join_batches(data)
    model = build_network(settings, train, task.seed)
    fit_by_settings(model, train, None, replace(settings, patience=None))
    classifier = Classifier(model, data.train, mirrored=settings.mirrored_prediction)
    evaluation = evaluate(classifier, data.test)
    if task.bundle:
        measured = classifier.with_changes(figures=evaluation.figures("test"))
        measured.save(Path(task.bundle))
    report({"accuracy": evaluation.accuracy})


def join_batches(data: ImageData) -> Batches:
    """Return augmented batches of the training and validation images together."""
    first, second = data.train.source, data.val.source
    boundary = int(first.rows.max()) + 1
    source = replace(
        first,
        pixels=_JoinedPixels(first.pixels, second.pixels, boundary),
        rows=np.concatenate([first.rows, second.rows + boundary]),
        labels=np.concatenate([first.labels, second.labels]),
    )
    samples = (*data.train.samples, *data.val.samples)
    return Batches(source, data.train.class_names, samples, data.train.plan)


@dataclass(frozen=True, slots=True)
class _JoinedPixels:
    """The images of two sources, one after the other."""

    first: PixelSource
    second: PixelSource
    boundary: int

    def rows(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Return the images of these indices, in their order."""
        in_second = indices >= self.boundary
        if not in_second.any():
            return self.first.rows(indices)
        if in_second.all():
            return self.second.rows(indices - self.boundary)
        head = self.first.rows(indices[~in_second])
        images = np.empty((len(indices), *head.shape[1:]), np.uint8)
        images[~in_second] = head
        images[in_second] = self.second.rows(indices[in_second] - self.boundary)
        return images
