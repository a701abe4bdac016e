"""Running one trial: batches, network, fit, evaluation, bundle."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from imgclf.classifiers.classifier import Classifier
from imgclf.data.batches.generators import Batches
from imgclf.errors import TrainingError
from imgclf.evaluation.evaluator import Evaluation, evaluate
from imgclf.tuning.candidates import (
    TrialImages,
    build_images,
    build_network,
    fit_network,
)
from imgclf.tuning.trial_settings import TrialOrder

__all__ = ["run_trial"]

Report = Callable[[dict[str, Any]], None]


def run_trial(order: TrialOrder, report: Report) -> None:
    """Train and measure a candidate, and save the bundle of its best execution.

    Args:
        order: What to do.
        report: Called with ``{"epoch": ..., "val_accuracy": ...}`` after each epoch and once with
            ``{"result": ...}`` or ``{"refused": ...}``.

    Raises:
        TrainingError: The loss or the outputs are not numbers.
    """
    images = build_images(order.plan, order.candidate)
    accuracies: list[float] = []
    losses: list[float] = []
    fit_s = 0.0
    best: dict[str, Any] = {}
    for execution in range(order.settings.executions):
        model = build_network(order.candidate, images.val, order.settings.seed + execution)
        most = order.settings.max_parameters
        if most is not None and model.count_params() > most:
            report({"refused": f"{model.count_params():,} parameters, more than {most:,}"})
            return
        began_s = time.monotonic()
        epoch = _fit(order, model, images, execution, report)
        fit_s += time.monotonic() - began_s
        classifier = Classifier(model, images.val)
        evaluation = _measure(classifier, images.val)
        accuracies.append(evaluation.accuracy)
        losses.append(evaluation.metrics.log_loss)
        if evaluation.accuracy == max(accuracies) and evaluation.accuracy not in accuracies[:-1]:
            classifier.figures = evaluation.figures("val")
            classifier.save(Path(order.bundle))
            best = {
                "num_correct": evaluation.metrics.num_correct,
                "num_images": evaluation.metrics.num_images,
                "num_parameters": model.count_params(),
                "best_epoch": epoch,
            }
    result = {"accuracies": accuracies, "log_loss": float(np.mean(losses)), "fit_s": fit_s}
    report({"result": {**best, **result}})


def _fit(
    order: TrialOrder, model: keras.Model, images: TrialImages, execution: int, report: Report
) -> int | None:
    """Fit one execution; returns its best epoch, counted from 0."""
    result = fit_network(
        model,
        order.candidate,
        order.settings,
        _reshuffled(images.train, execution),
        images.steps_per_epoch,
        val=images.val,
        callbacks=[_Epochs(report, order.candidate.epochs * execution)],
    )
    return result.best_epoch


def _reshuffled(train: tf.data.Dataset, execution: int) -> tf.data.Dataset:
    """Give each execution an order and augmentation of its own; the split stays the same."""
    if not execution or not isinstance(train, Batches):  # A plain dataset varies by itself.
        return train
    source = replace(train.source, seed=train.source.seed + execution)
    return Batches(source, train.class_names, train.samples, train.plan)


def _measure(classifier: Classifier, val: Batches) -> Evaluation:
    evaluation = evaluate(classifier, val)
    if not np.isfinite(evaluation.probabilities).all():
        raise TrainingError("The network's outputs are not numbers.")
    return evaluation


class _Epochs(keras.callbacks.Callback):
    """Tells how far a trial has come."""

    def __init__(self, report: Report, epochs_before: int) -> None:
        super().__init__()
        self._report = report
        self._epochs_before = epochs_before

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Report the epoch, counted from 1 over all executions."""
        accuracy = (logs or {}).get("val_accuracy", 0.0)
        self._report({"epoch": self._epochs_before + epoch + 1, "val_accuracy": float(accuracy)})
