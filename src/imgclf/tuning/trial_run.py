"""One trial: batches, network, fit, evaluation, classifier."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from imgclf.classifiers.classifier import Classifier
from imgclf.data.batches.dataset import Batches
from imgclf.data.store.pixel_store import StoreMode
from imgclf.errors import TrainingError
from imgclf.evaluation.results import figures_of
from imgclf.figures.metrics import ClassificationMetrics, measure
from imgclf.runs.settings import Settings
from imgclf.training.frozen_features import divide_network
from imgclf.tuning.candidate_training import TrialImages, build_images, build_network
from imgclf.tuning.candidates import candidate_settings
from imgclf.tuning.tasks import TrialTask
from imgclf.workflow.learner import fit_by_settings
from imgclf.workflow.measurement import answer_images

__all__ = ["run_trial"]

Report = Callable[[dict[str, Any]], None]


def run_trial(task: TrialTask, report: Report) -> None:
    """Train and evaluate a candidate, and save the classifier of its best execution.

    Saving takes a quarter of a second: it is left out where others are better.

    Args:
        task: The trial.
        report: Called with ``{"epoch": ..., "val_accuracy": ...}`` after each epoch and once with
            ``{"result": ...}`` or ``{"refused": ...}``.

    Raises:
        TrainingError: The loss or the outputs are not finite.
    """
    settings = candidate_settings(task.settings, task.candidate)
    images = build_images(task.plan, settings)
    accuracies: list[float] = []
    losses: list[float] = []
    fit_s = 0.0
    best: dict[str, Any] = {}
    for execution in range(task.settings.executions):
        model = _network(task, settings, images, settings.seed + execution)
        most = task.settings.max_parameters
        if most is not None and model.count_params() > most:
            report({"refused": f"{model.count_params():,} parameters, more than {most:,}"})
            return
        began_s = time.monotonic()
        epoch = _fit(settings, model, images, execution, report)
        fit_s += time.monotonic() - began_s
        classifier = Classifier(model, images.val, mirrored=settings.mirrored_prediction)
        metrics = _measure(classifier, images.val, settings.store)
        accuracies.append(metrics.accuracy)
        losses.append(metrics.log_loss)
        if metrics.accuracy == max(accuracies) and metrics.accuracy not in accuracies[:-1]:
            # The mean of several executions ranks; it is not known yet.
            if task.settings.executions > 1 or metrics.accuracy >= task.save_from:
                measured = classifier.with_changes(figures=figures_of(metrics, "val"))
                measured.save(Path(task.bundle))
            best = {
                "num_correct": metrics.num_correct,
                "num_images": metrics.num_images,
                "num_parameters": model.count_params(),
                "best_epoch": epoch,
            }
    result = {"accuracies": accuracies, "log_loss": float(np.mean(losses)), "fit_s": fit_s}
    report({"result": {**best, **result}})


_kept: dict[Hashable, keras.Model] = {}
"""Networks of earlier trials of this process, of which the heads alone were fitted."""


def _network(task: TrialTask, settings: Settings, images: TrialImages, seed: int) -> keras.Model:
    """Build a trial's network, or take that of an earlier one: each solves for a new head."""
    key = task.shared_process, images.val.input_shape, images.val.num_classes, seed
    if key in _kept:
        return _kept[key]
    model = build_network(settings, images.val, seed)
    if task.shared_process and divide_network(model).has_linear_head:
        _kept[key] = model
    return model


def _fit(
    settings: Settings, model: keras.Model, images: TrialImages, execution: int, report: Report
) -> int | None:
    """Fit one execution; returns its best epoch, counted from 0."""
    train = _reshuffled(images.train, execution)
    reporting = _EpochReporter(report, settings.epochs * execution)
    fitted = fit_by_settings(
        model, train, images.val, settings,
        steps_per_epoch=images.steps_per_epoch, callbacks=[reporting],
    )  # fmt: skip
    return fitted.best_epoch


def _reshuffled(train: tf.data.Dataset, execution: int) -> tf.data.Dataset:
    """Return batches with another seed for each execution; the split stays the same."""
    if not execution or not isinstance(train, Batches):  # A plain dataset shuffles by itself.
        return train
    source = replace(train.source, seed=train.source.seed + execution)
    return Batches(source, train.class_names, train.samples, train.plan)


def _measure(classifier: Classifier, val: Batches, store: StoreMode) -> ClassificationMetrics:
    probabilities = answer_images(classifier, val, store)
    if not np.isfinite(probabilities).all():
        raise TrainingError("The network's outputs are not numbers.")
    return measure(val.labels, probabilities, val.class_names)


class _EpochReporter(keras.callbacks.Callback):
    """Reports the end of each epoch."""

    def __init__(self, report: Report, epochs_before: int) -> None:
        super().__init__()
        self._report = report
        self._epochs_before = epochs_before

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Report the epoch, from 1 over all executions."""
        accuracy = (logs or {}).get("val_accuracy", 0.0)
        self._report({"epoch": self._epochs_before + epoch + 1, "val_accuracy": float(accuracy)})
