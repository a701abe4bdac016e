"""From the settings of a trial to its images and its network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from imgclf.data.batches.augmentation import resolve_augmentation
from imgclf.data.batches.dataset import Batches
from imgclf.data.batches.image_data import build_data
from imgclf.data.batches.plan import Plan
from imgclf.runs.settings import Settings
from imgclf.training.optimizers import choose_optimizer, usual_rate
from imgclf.tuning.datasets import DatasetPlan
from imgclf.zoo.builder import build_model

__all__ = [
    "TrialImages",
    "build_images",
    "build_network",
    "candidate_plan",
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


def candidate_plan(plan: Plan, settings: Settings) -> Plan:
    """Return the plan of a trial's images: its size, batches and augmentation."""
    return replace(
        plan,
        policy=replace(plan.policy, image_size=settings.height_and_width),
        batch_size=settings.batch_size,
        augmentation=resolve_augmentation(
            settings.augment, mixup=settings.mixup or None, cutmix=settings.cutmix or None
        ),
    )


def build_images(plan: Plan | DatasetPlan, settings: Settings) -> TrialImages:
    """Make a trial's batches.

    Args:
        plan: The study's images.
        settings: The settings of the trial.

    Returns:
        The batches.
    """
    if isinstance(plan, DatasetPlan):
        return TrialImages(plan.train(), plan.val(), None, plan.steps_per_epoch)
    data = build_data(candidate_plan(plan, settings))
    return TrialImages(data.train, data.val, data.test, data.train.steps_per_epoch)


def build_network(settings: Settings, images: Batches, seed: int) -> keras.Model:
    """Build a trial's network for images like these."""
    options: dict[str, Any] = dict(settings.options)
    return build_model(
        settings.architecture,
        images.input_shape,
        images.num_classes,
        data_format=images.policy.data_format,
        seed=seed,
        **options,
    )


def settle_optimizer(
    settings: Settings, architectures: Sequence[str | Callable[..., Any]], num_classes: int
) -> Settings:
    """Choose one optimizer for all networks of a study: Muon only where it suits each of them.

    Args:
        settings: What all trials share.
        architectures: Names of the architectures, and functions of no package.
        num_classes: 2 or more.

    Returns:
        The settings with an optimizer and its usual learning rate, where they were left to the
        network.
    """
    optimizer: Any = settings.optimizer
    if optimizer == "auto":
        shape = (*settings.height_and_width, settings.channels)
        suited = {choose_optimizer(build_model(one, shape, num_classes)) for one in architectures}
        optimizer = "muon" if suited == {"muon"} else "adam"
    rate = settings.learning_rate
    return replace(
        settings,
        optimizer=optimizer,
        learning_rate=usual_rate(optimizer) if rate is None else rate,
    )
