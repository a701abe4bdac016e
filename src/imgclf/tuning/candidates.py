"""From a candidate to its images, its network and its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from imgclf.data.batches.augmentation import resolve_augmentation
from imgclf.data.batches.generators import Batches, Plan
from imgclf.training.fit_result import FitResult
from imgclf.training.loop import fit
from imgclf.training.optimizers import choose_optimizer, usual_rate
from imgclf.training.schedules import make_schedule
from imgclf.training.two_phase import fit_two_phase, in_two_phases
from imgclf.tuning.datasets import DatasetPlan
from imgclf.tuning.trial_settings import TrialSettings
from imgclf.tuning.trials import Candidate
from imgclf.zoo.builder import build_model

__all__ = [
    "TrialImages",
    "build_images",
    "build_network",
    "candidate_plan",
    "fit_network",
    "settle_optimizer",
]


@dataclass(frozen=True, slots=True, eq=False)
class TrialImages:
    """What a trial learns from and is measured on.

    Attributes:
        train: Training batches; plain datasets have no end here.
        val: Validation batches.
        test: Test batches, if there are any.
        steps_per_epoch: Training batches per epoch.
    """

    train: tf.data.Dataset
    val: Batches
    test: Batches | None
    steps_per_epoch: int


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


def build_images(plan: Plan | DatasetPlan, candidate: Candidate) -> TrialImages:
    """Make a candidate's batches.

    Args:
        plan: The study's images.
        candidate: What is tried.

    Returns:
        The batches.
    """
    if isinstance(plan, DatasetPlan):
        return TrialImages(plan.train(), plan.val(), None, plan.steps_per_epoch)
    data = candidate_plan(plan, candidate).build()
    return TrialImages(data.train, data.val, data.test, data.train.steps_per_epoch)


def build_network(candidate: Candidate, images: Batches, seed: int) -> keras.Model:
    """Build a candidate's network for images like these."""
    return build_model(
        candidate.architecture,
        images.input_shape,
        images.num_classes,
        data_format=images.policy.data_format,
        seed=seed,
        **candidate.options,
    )


def fit_network(
    model: keras.Model,
    candidate: Candidate,
    settings: TrialSettings,
    train: tf.data.Dataset,
    steps_per_epoch: int,
    *,
    val: Batches | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> FitResult:
    """Fit a candidate's network as `imgclf.train` would.

    Args:
        model: What `build_network` returned.
        candidate: Its epochs, learning rate and optimizer.
        settings: What all trials share.
        train: Training batches.
        steps_per_epoch: Batches that make an epoch.
        val: Images that choose the epoch; without them the last one counts.
        callbacks: Keras callbacks.

    Returns:
        The figures of each epoch, and the best one.
    """
    rate = candidate.training["learning_rate"]
    shared: dict[str, Any] = {
        "epochs": candidate.epochs,
        "optimizer": candidate.training["optimizer"],
        "weight_decay": settings.weight_decay,
        "label_smoothing": settings.label_smoothing,
        "average_weights": settings.average_weights,
        "class_weight": settings.class_weight,
        "patience": settings.patience if val is not None else None,
        "precision": settings.precision,
        "callbacks": callbacks,
    }
    if isinstance(train, Batches) and in_two_phases(model, None):
        return fit_two_phase(
            model, train, val, learning_rate=rate, schedule=settings.schedule, **shared
        )
    schedule = make_schedule(settings.schedule, rate, candidate.epochs * steps_per_epoch)
    return fit(model, train, val, learning_rate=schedule, steps_per_epoch=steps_per_epoch, **shared)


def settle_optimizer(
    chosen: dict[str, Any],
    architectures: Sequence[str],
    input_shape: tuple[int, int, int],
    num_classes: int,
) -> None:
    """Choose one optimizer for all networks of a study: Muon only where it suits each of them.

    Args:
        chosen: What a recipe gave; ``optimizer`` and ``learning_rate`` are filled in where they
            are left to the network.
        architectures: Names of the architectures.
        input_shape: Of one image.
        num_classes: 2 or more.
    """
    if chosen["optimizer"] == "auto":
        suited = {
            choose_optimizer(build_model(name, input_shape, num_classes)) for name in architectures
        }
        chosen["optimizer"] = "muon" if suited == {"muon"} else "adam"
    if chosen["learning_rate"] is None:
        chosen["learning_rate"] = usual_rate(chosen["optimizer"])
