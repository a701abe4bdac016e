"""Running one trial: batches, network, fit, evaluation, bundle."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from imgclf.bundle import Figures
from imgclf.classifier import Classifier
from imgclf.data.augmentation import resolve_augmentation
from imgclf.data.generators import Batches, ImageData, Plan
from imgclf.errors import TrainingError
from imgclf.evaluation.evaluating import Evaluation, evaluate
from imgclf.models import build_model
from imgclf.training.fitting import fit
from imgclf.training.schedules import make_schedule
from imgclf.training.two_phase import fit_two_phase, in_two_phases
from imgclf.tuning.settings import TrialOrder
from imgclf.tuning.trials import Candidate

__all__ = ["candidate_plan", "run_trial"]

Report = Callable[[dict[str, Any]], None]


def candidate_plan(plan: Plan, candidate: Candidate) -> Plan:
    """Return the plan of a candidate's images: its size, batches and augmentation."""
    height, width = candidate.training["image_size"]
    preset = candidate.training["augment"]
    return replace(
        plan,
        policy=replace(plan.policy, image_size=(height, width)),
        batch_size=candidate.training["batch_size"],
        augmentation=plan.augmentation if preset is None else resolve_augmentation(preset),
    )


def run_trial(order: TrialOrder, report: Report) -> None:
    """Train and measure a candidate, and save the bundle of its best execution.

    Args:
        order: What to do.
        report: Called with ``{"epoch": ..., "val_accuracy": ...}`` after each epoch and once with
            ``{"result": ...}`` or ``{"refused": ...}``.

    Raises:
        TrainingError: The loss or the outputs are not numbers.
    """
    data = candidate_plan(order.plan, order.candidate).build()
    accuracies: list[float] = []
    losses: list[float] = []
    fit_s = 0.0
    best: dict[str, Any] = {}
    for execution in range(order.settings.executions):
        model = _build(order, data, order.settings.seed + execution)
        most = order.settings.max_parameters
        if most is not None and model.count_params() > most:
            report({"refused": f"{model.count_params():,} parameters, more than {most:,}"})
            return
        began_s = time.monotonic()
        epoch = _fit(order, model, data, execution, report)
        fit_s += time.monotonic() - began_s
        classifier = Classifier(model, data.train)
        evaluation = _measure(classifier, data.val)
        accuracies.append(evaluation.accuracy)
        losses.append(evaluation.metrics.log_loss)
        if evaluation.accuracy == max(accuracies) and evaluation.accuracy not in accuracies[:-1]:
            classifier.figures = _figures(evaluation)
            classifier.save(Path(order.bundle))
            best = {
                "num_correct": evaluation.metrics.num_correct,
                "num_images": evaluation.metrics.num_images,
                "num_parameters": model.count_params(),
                "best_epoch": epoch,
            }
    result = {"accuracies": accuracies, "log_loss": float(np.mean(losses)), "fit_s": fit_s}
    report({"result": {**best, **result}})


def _build(order: TrialOrder, data: ImageData, seed: int) -> keras.Model:
    return build_model(
        order.candidate.architecture,
        data.train.input_shape,
        data.train.num_classes,
        data_format=order.plan.policy.data_format,
        seed=seed,
        **order.candidate.options,
    )


def _fit(
    order: TrialOrder, model: keras.Model, data: ImageData, execution: int, report: Report
) -> int | None:
    """Fit one execution; returns its best epoch, counted from 0."""
    settings, candidate = order.settings, order.candidate
    train = _reshuffled(data.train, execution)
    rate = candidate.training["learning_rate"]
    shared: dict[str, Any] = {
        "epochs": candidate.epochs,
        "optimizer": candidate.training["optimizer"],
        "class_weight": settings.class_weight,
        "patience": settings.patience,
        "precision": settings.precision,
        "callbacks": [_Epochs(report, candidate.epochs * execution)],
    }
    if in_two_phases(model, None):
        history = fit_two_phase(
            model, train, data.val, learning_rate=rate, schedule=settings.schedule, **shared
        )
    else:
        num_steps = candidate.epochs * train.steps_per_epoch
        schedule = make_schedule(settings.schedule, rate, num_steps)
        history = fit(model, train, data.val, learning_rate=schedule, **shared)
    best_epoch: int | None = history.best_epoch
    return best_epoch


def _reshuffled(train: Batches, execution: int) -> Batches:
    """Give each execution an order and augmentation of its own; the split stays the same."""
    if not execution:
        return train
    source = replace(train.source, seed=train.source.seed + execution)
    return Batches(source, train.class_names, train.samples, train.plan)


def _measure(classifier: Classifier, val: Batches) -> Evaluation:
    evaluation = evaluate(classifier, val)
    if not np.isfinite(evaluation.probabilities).all():
        raise TrainingError("The network's outputs are not numbers.")
    return evaluation


def _figures(evaluation: Evaluation) -> Figures:
    metrics = evaluation.metrics
    return Figures(
        split="val",
        num_images=metrics.num_images,
        accuracy=metrics.accuracy,
        accuracy_low=metrics.accuracy_interval.low,
        accuracy_high=metrics.accuracy_interval.high,
        majority_accuracy=metrics.majority.accuracy,
    )


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
