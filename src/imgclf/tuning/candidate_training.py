"""The images, the network and the training of a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from imgclf.data.batches.augmentation import resolve_augmentation
from imgclf.data.batches.generators import Batches, Plan
from imgclf.training.loop import fit
from imgclf.training.optimizers import choose_optimizer, usual_rate
from imgclf.training.schedules import make_schedule
from imgclf.training.two_phase import fit_two_phase, in_two_phases
from imgclf.tuning.candidates import Candidate
from imgclf.tuning.datasets import DatasetPlan
from imgclf.tuning.trial_settings import TrialSettings
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
    """The images of a trial.

    Attributes:
        train: Training batches; those of a plain dataset repeat without end.
        val: Validation batches.
        test: Test batches; None if there are none.
        steps_per_epoch: Training batches per epoch.
    """

    train: tf.data.Dataset
    val: Batches
    test: Batches | None
    steps_per_epoch: int


def candidate_plan(plan: Plan, candidate: Candidate) -> Plan:
    """Return the plan with a candidate's image size, batch size and augmentation."""
    height, width = candidate.training["image_size"]
    preset = candidate.training["augment"]
    return replace(
        plan,
        policy=replace(plan.policy, image_size=(height, width)),
        batch_size=candidate.training["batch_size"],
        augmentation=plan.augmentation if preset is None else resolve_augmentation(preset),
    )


def build_images(plan: Plan | DatasetPlan, candidate: Candidate) -> TrialImages:
    """Build a candidate's batches.

    Args:
        plan: The study's images.
        candidate: The candidate.

    Returns:
        The batches.
    """
    if isinstance(plan, DatasetPlan):
        return TrialImages(plan.train(), plan.val(), None, plan.steps_per_epoch)
    data = candidate_plan(plan, candidate).build()
    return TrialImages(data.train, data.val, data.test, data.train.steps_per_epoch)


def build_network(candidate: Candidate, images: Batches, seed: int) -> keras.Model:
    """Build a candidate's network for images of this size and these classes."""
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
) -> Any:
    """Fit a candidate's network as `imgclf.train` does.

    Args:
        model: The network, from `build_network`.
        candidate: The candidate: its epochs, learning rate and optimizer.
        settings: Settings of every trial.
        train: Training batches.
        steps_per_epoch: Training batches per epoch.
        val: Validation batches, which choose the best epoch; None keeps the last one.
        callbacks: Keras callbacks.

    Returns:
        Keras' history with ``best_epoch``.
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
    """Choose one optimizer for all networks of a study: Muon only if it suits all of them.

    Args:
        chosen: Settings of a recipe. ``optimizer`` and ``learning_rate`` are set in place where
            the recipe leaves them to the network.
        architectures: Names of the architectures.
        input_shape: ``(height, width, channels)`` of an image, in pixels.
        num_classes: Number of classes, from 2 on.
    """
    if chosen["optimizer"] == "auto":
        suited = {
            choose_optimizer(build_model(name, input_shape, num_classes)) for name in architectures
        }
        chosen["optimizer"] = "muon" if suited == {"muon"} else "adam"
    if chosen["learning_rate"] is None:
        chosen["learning_rate"] = usual_rate(chosen["optimizer"])
