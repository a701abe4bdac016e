"""Settings of the networks that may be better than a first answer, for the time that is left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from imgclf.classifiers.familiarity import MOST_IMAGES
from imgclf.data.batches.augmentation import resolve_augmentation
from imgclf.data.batches.batch_size import usual_batch_size
from imgclf.runs.resolution import make_plan, resolve_settings
from imgclf.runs.settings import BY_RECIPE, Settings
from imgclf.training.budget import IMAGE_SIZES, RESERVE_S, BudgetPlan
from imgclf.training.fine_tuning import fine_tuning
from imgclf.training.speed import StepCost, measure_step_cost
from imgclf.workflow.measurement import Answer
from imgclf.workflow.situation import Situation
from imgclf.workflow.time_budget import budget_of, typical_side
from imgclf.zoo.builder import build_unloaded, origin_of

__all__ = ["for_a_trial", "plan_fine_tuning", "plan_from_scratch"]

FINE_TUNING_BATCHES = (32, 64)
"""Images per batch of few and of many images: few are gone through in few steps."""

FINE_TUNING_RATE = 1e-5
"""Highest learning rate of AdamW for each image of a batch, chosen on validation images: see
`docs/performance.md`. At 2e-3 in all, a pretrained network forgets what it knew."""

MEASURED_SIDE = 96
"""Side, in pixels, at which a step is measured; larger and smaller ones cost by their area."""

VAL_COST = 1 / 3
"""What a validation image costs, as a share of a training image."""

FINE_TUNING_EPOCHS = 2
"""Epochs that the image size of fine-tuning leaves time for: fewer epochs of larger images gave
more in the same time; see `docs/performance.md`."""

MOST_ENLARGED = 4
"""How many times its own side a small image is enlarged for fine-tuning."""

CONVERSION_S = 8.0
"""Seconds for converting a fine-tuned network to LiteRT, once for features and once for answers."""

FINE_TUNING_SIDES = (64, 96, 128, 160, 192, 224)
"""Sides, in pixels, that fine-tuning chooses from; below, the last map of a pretrained network has
fewer than two pixels a side."""

MANY_SMALL_IMAGES = 20_000
"""Training images from which a narrow network learns more from small images than a wide one."""

SMALL_SIDE = 48
"""Median side, in pixels, up to which images are small."""

LEAST_SIDE = 16

AIRNET_WIDTHS = (32, 48, 64, 96)
"""Filters of `airnet` to choose from: multiples of 16, as matrix units like them best."""

MEASURED_WIDTH = 48
"""Of which a step is measured: each measurement costs seconds of compiling."""

WIDTH_EXPONENT = 1.5
"""How the time of a step grows with the width: its power, between 1.2 (AMX) and 2."""

AIRNET_EPOCHS = 10
"""Epochs that a wider network must leave time for: it learns more from as many."""

AIRNET_BATCH, AIRNET_RATE = 256, 0.2
"""Of Muon, chosen on validation images of two sets: see `docs/performance.md`."""


def plan_fine_tuning(
    first: Answer, situation: Situation, time_s: float
) -> tuple[Settings, BudgetPlan]:
    """Choose the largest images for which a few epochs of fine-tuning fit into the time.

    Args:
        first: The first answer, whose backbone is fine-tuned.
        situation: Where the training stands.
        time_s: Seconds that it would have.

    Returns:
        Every choice, and the plan of the time.
    """
    data, given = situation.data, situation.settings
    settings = _fine_tuning_settings(first, situation)
    height, width = size = first.learned.settings.height_and_width
    side = min(MEASURED_SIDE, height, width)
    measured = min(settings.batch_size, FINE_TUNING_BATCHES[-1])
    cost = _step_cost(first, situation, side, measured)
    num_val = data.val.num_samples
    num_measured = (data.test or data.val).num_samples
    num_images = data.train.images_per_epoch + VAL_COST * num_val
    # The held-out images are answered at the end, and familiar ones looked at.
    num_looks = (1 + settings.mirrored_prediction) * (num_val + num_measured)
    num_looks += num_val + min(MOST_IMAGES, data.train.num_samples)

    def epochs_and_after_s(size: tuple[int, int]) -> tuple[float, float]:
        ratio = size[0] * size[1] / side**2
        after_s = num_looks * cost.predict_s * ratio + CONVERSION_S + RESERVE_S
        return (time_s - after_s) / (num_images * cost.train_s * ratio), after_s

    largest = max(height, width, MOST_ENLARGED * _side(situation))
    sizes = [(one, one) for one in FINE_TUNING_SIDES if one <= largest]
    if given.image_size is BY_RECIPE and sizes:
        fitting = [one for one in sizes if epochs_and_after_s(one)[0] >= FINE_TUNING_EPOCHS]
        size = fitting[-1] if fitting else sizes[0]
    fitting_epochs, after_s = epochs_and_after_s(size)
    epochs = max(1, round(fitting_epochs))
    return replace(settings, image_size=size, epochs=epochs), BudgetPlan(size, epochs, after_s)


def _fine_tuning_settings(first: Answer, situation: Situation) -> Settings:
    """Choose all but what depends on the time."""
    given = situation.settings
    fewest, most = FINE_TUNING_BATCHES
    usual = min(max(usual_batch_size(situation.data.train.num_samples), fewest), most)
    batch_size: int = _or(given.batch_size, usual)
    augment = _or(given.augment, "light")
    flips = resolve_augmentation(augment).horizontal_flip
    return replace(
        first.learned.settings,
        two_phase=False,
        batch_size=batch_size,
        optimizer=_or(given.optimizer, "adamw"),
        learning_rate=_or(given.learning_rate, FINE_TUNING_RATE * min(batch_size, most)),
        augment=augment,
        label_smoothing=_or(given.label_smoothing, 0.1),
        mirrored_prediction=_or(given.mirrored_prediction, flips),
    )


def _or(given: Any, usual: Any) -> Any:
    """Return what was given, or what is usual where it is left open."""
    return usual if given is BY_RECIPE else given


def _step_cost(first: Answer, situation: Situation, side: int, batch_size: int) -> StepCost:
    """Measure a fresh network of the same kind; measuring changes its weights."""
    settings = first.learned.settings
    shape: tuple[int, int, int] = (side, side, settings.channels)
    if settings.data_format == "channels_first":
        shape = (settings.channels, side, side)
    origin = origin_of(first.learned.model)
    model = build_unloaded(
        settings.architecture,
        shape,
        situation.data.train.num_classes,
        data_format=settings.data_format,
        seed=settings.seed,
        options=dict(settings.options),
        weights_files=origin.weights_files if origin else None,
    )
    with fine_tuning(model):
        return measure_step_cost(model, batch_size, optimizer="adamw", precision=settings.precision)


def plan_from_scratch(situation: Situation, time_s: float) -> tuple[Settings, BudgetPlan]:
    """Plan a small network from random weights, as a budget of its own would.

    Args:
        situation: Where the training stands.
        time_s: Seconds that it would have.

    Returns:
        Every choice, and the plan of the time.
    """
    num_images = situation.data.train.num_samples
    if num_images >= MANY_SMALL_IMAGES and (side := _side(situation)) <= SMALL_SIDE:
        return _plan_widest(situation, time_s, side)
    return _plan_with_budget(situation, replace(situation.settings, architecture="resnet9"), time_s)


def _plan_widest(situation: Situation, time_s: float, side: float) -> tuple[Settings, BudgetPlan]:
    """Plan `airnet`, as wide as leaves time for enough epochs."""
    given = situation.settings
    settings = replace(
        given,
        architecture="airnet",
        recipe="best",
        augment=_or(given.augment, "light"),
        batch_size=_or(given.batch_size, AIRNET_BATCH),
    )
    if given.optimizer is BY_RECIPE and given.learning_rate is BY_RECIPE:
        settings = replace(settings, optimizer="muon", learning_rate=AIRNET_RATE)
    if given.image_size is BY_RECIPE and side < IMAGE_SIZES[0]:
        settings = replace(settings, image_size=(max(round(side), LEAST_SIDE),) * 2)
    measured = replace(settings, options={**given.options, "filters": MEASURED_WIDTH})
    measured, plan = _plan_with_budget(situation, measured, time_s)
    epochs = {
        width: int(plan.epochs * (MEASURED_WIDTH / width) ** WIDTH_EXPONENT)
        for width in AIRNET_WIDTHS
    }
    narrowest = AIRNET_WIDTHS[0]
    filters = max((one for one in epochs if epochs[one] >= AIRNET_EPOCHS), default=narrowest)
    growth = (filters / MEASURED_WIDTH) ** WIDTH_EXPONENT
    plan = replace(plan, epochs=max(1, epochs[filters]), after_s=plan.after_s * growth)
    options = {**measured.options, "filters": filters}
    return replace(measured, options=options, epochs=plan.epochs), plan


def for_a_trial(settings: Settings, share: float) -> Settings:
    """Plan a short training with a whole schedule; a wide network would hardly begin it.

    Args:
        settings: Those of the whole training.
        share: Of its time that the trial has.

    Returns:
        The same, but for the epochs, whose last twentieth is averaged, and the width of `airnet`.
    """
    settings = replace(settings, epochs=max(1, round(share * settings.epochs)))
    if settings.architecture != "airnet":
        return settings
    return replace(settings, options={**settings.options, "filters": AIRNET_WIDTHS[0]})


def _plan_with_budget(
    situation: Situation, settings: Settings, time_s: float
) -> tuple[Settings, BudgetPlan]:
    """Let a budget choose what is open."""
    settings = replace(settings, budget=time_s, two_phase=False)
    settings = resolve_settings(settings, situation.data.train.num_samples)
    plan = make_plan(situation.directory, settings)
    budget = budget_of(plan, situation.folders, settings, time_s)
    settings = replace(
        settings, image_size=budget.image_size, epochs=budget.epochs, size_is_open=False
    )
    return settings, budget


def _side(situation: Situation) -> float:
    return typical_side(situation.folders["train"], situation.data.train.plan)
