"""From images and settings to a fitted network: the middle of the way that `workflow` goes."""

from __future__ import annotations

import inspect
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import keras
import tensorflow as tf

from imgclf.atomic import write_atomically
from imgclf.classifiers.classifier import Classifier
from imgclf.data.batches.dataset import Batches
from imgclf.data.batches.image_data import ImageData, build_data
from imgclf.data.batches.plan import Plan
from imgclf.data.reading.image_folder import Folders
from imgclf.errors import OutOfMemoryError
from imgclf.machine.devices import choose_strategy, divisible_batch_size
from imgclf.machine.display import Verbose
from imgclf.machine.precision import choose_precision
from imgclf.runs.config import to_config
from imgclf.runs.folder import write_config
from imgclf.runs.settings import Settings, setting_fields
from imgclf.training.budget import BudgetPlan, KeepBudget
from imgclf.training.checkpoints import newest_state, remove_states
from imgclf.training.fine_tuning import fine_tuning
from imgclf.training.fit_result import FitResult
from imgclf.training.loop import fit
from imgclf.training.optimizers import choose_optimizer, usual_rate
from imgclf.training.rate_finder import find_learning_rate
from imgclf.training.rate_plot import rate_picture
from imgclf.training.schedules import make_schedule
from imgclf.training.stop_request import StopOnRequest
from imgclf.training.trackers import make_trackers
from imgclf.training.two_phase import fit_two_phase, in_two_phases
from imgclf.training.weight_average import AVERAGED_SHARE
from imgclf.workflow.changed_images import keeping_best_epoch
from imgclf.workflow.time_budget import budget_of, size_of_photos
from imgclf.workflow.transfer import copy_weights, frozen_convolutions
from imgclf.zoo.builder import build_model, build_unloaded, origin_of

__all__ = [
    "Learned", "Task", "TrainingObserver", "build_network", "fit_by_settings", "in_batches_of",
    "learn", "plan_task", "with_optimizer",
]  # fmt: skip

_logger = logging.getLogger(__name__)

MOST_PLANS = 10
"""How many times the planned epochs a training with a budget may make before its time is over."""


@dataclass(frozen=True, slots=True)
class TrainingObserver:
    """Callbacks of a training; each does nothing by default.

    Attributes:
        scanning: Called with the number of files done and in all.
        scanned: Called with the images once they are known.
        planned: Called with the plan of a training that has a budget.
        rate_found: Called with the learning rate that was measured.
        answered: Called with the validation accuracy of the first usable classifier, and the
            seconds that it took.
        decided: Called with a sentence on what is tried next, and what came of it.
        callbacks: Keras callbacks.
        verbose: The display of the training's progress, or 0 for none.
        stop_requested: Asked after each step; True ends the training in good order.
    """

    scanning: Callable[[int, int], None] | None = None
    scanned: Callable[[ImageData], None] = lambda _data: None
    planned: Callable[[BudgetPlan], None] = lambda _plan: None
    rate_found: Callable[[float], None] = lambda _rate: None
    answered: Callable[[float, float], None] = lambda _accuracy, _seconds: None
    decided: Callable[[str], None] = lambda _sentence: None
    callbacks: Sequence[keras.callbacks.Callback] = ()
    verbose: Verbose = 0
    stop_requested: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be learned, and where to.

    Attributes:
        plan: The images.
        settings: Every choice.
        folder: The run folder; None writes nothing.
        budget: How a given time is going to be spent; None without one.
        began_s: When that time began, on the monotonic clock.
    """

    plan: Plan
    settings: Settings
    folder: Path | None
    budget: BudgetPlan | None
    began_s: float

    def record(self) -> None:
        """Write every value into the run folder."""
        if self.folder is not None:
            precision = choose_precision(self.settings.precision)
            write_config(self.folder, to_config(self.plan, self.settings, precision))


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What came of a task.

    Attributes:
        model: The fitted network, with the weights of its best epoch.
        data: The images, in the batches that fitted into memory and devices.
        fitted: The course of the fit.
        settings: Every choice, with what was measured on the way.
    """

    model: keras.Model
    data: ImageData
    fitted: FitResult
    settings: Settings

    @property
    def backbone_is_frozen(self) -> bool:
        """Whether the head alone was fitted, so that the backbone gives the features it gave."""
        return 0 < self.fitted.head_epochs == self.fitted.epochs


def plan_task(
    plan: Plan,
    folders: Folders,
    settings: Settings,
    folder: Path | None,
    observer: TrainingObserver,
) -> Task:
    """Choose what a time budget leaves open; without one everything is chosen already.

    Args:
        plan: The images.
        folders: What was read of their folders.
        settings: Every choice.
        folder: The run folder, if any.
        observer: Is told the plan.

    Returns:
        The task.

    Raises:
        DataError: A folder cannot be used.
    """
    began_s = time.monotonic()
    if settings.budget_s is None:
        if settings.size_is_open:
            size = size_of_photos(folders, plan)
            settings = replace(settings, image_size=size, size_is_open=False)
            plan = replace(plan, policy=replace(plan.policy, image_size=size))
        return Task(plan, settings, folder, None, began_s)
    budget = budget_of(plan, folders, settings, settings.budget_s)
    settings = replace(
        settings, image_size=budget.image_size, epochs=budget.epochs, size_is_open=False
    )
    plan = replace(plan, policy=replace(plan.policy, image_size=budget.image_size))
    observer.planned(budget)
    return Task(plan, settings, folder, budget, began_s)


def learn(
    task: Task,
    data: ImageData,
    observer: TrainingObserver,
    stopping: StopOnRequest,
    start_from: Classifier | None = None,
) -> Learned:
    """Build a network and fit it, on every device, in batches that fit into memory.

    Args:
        task: What is to be learned.
        data: Its images.
        observer: Who is told how it goes on.
        stopping: Ends the training in good order.
        start_from: A classifier to go on from.

    Returns:
        The fitted network.

    Raises:
        OutOfMemoryError: The memory does not hold a step, and the batch size may not be changed.
    """
    strategy = choose_strategy()
    wanted = task.settings.batch_size
    while True:
        splits = (data.train, data.val, data.test)
        counts = [batches.num_samples for batches in splits if batches is not None]
        wanted = divisible_batch_size(wanted, counts, strategy.num_replicas_in_sync)
        if wanted != task.plan.batch_size:
            task, data = in_batches_of(wanted, task)
        try:
            with strategy.scope():
                return _attempt(task, data, observer, stopping, start_from)
        except OutOfMemoryError:
            if not task.settings.shrink_batch or wanted == 1:
                raise
            wanted //= 2
            _logger.warning(
                "A training step does not fit into memory; continuing with batches of %d.", wanted
            )
            if task.folder is not None:
                remove_states(task.folder / "checkpoints")


def in_batches_of(batch_size: int, task: Task) -> tuple[Task, ImageData]:
    """Make other batches of the same images; their pixels are in the store already."""
    plan = replace(task.plan, batch_size=batch_size)
    task = replace(task, plan=plan, settings=replace(task.settings, batch_size=batch_size))
    task.record()
    return task, build_data(plan)


def _attempt(
    task: Task,
    data: ImageData,
    observer: TrainingObserver,
    stopping: StopOnRequest,
    start_from: Classifier | None,
) -> Learned:
    model = build_network(task.settings, data, start_from)
    task = with_optimizer(task, model)
    settings = task.settings
    trackers = make_trackers(task.folder, tensorboard=settings.tensorboard, mlflow=settings.mlflow)
    callbacks = [*observer.callbacks, *trackers, stopping]
    goes_on_tuning = start_from is not None and in_two_phases(model, None)
    with (
        frozen_convolutions(model, settings.freeze),
        fine_tuning(model) if goes_on_tuning else nullcontext(),
    ):
        if settings.learning_rate == "auto":
            rate = _measure_rate(model, data, task)
            observer.rate_found(rate)
            task = replace(task, settings=replace(settings, learning_rate=rate))
            task.record()
        callbacks += _keep_budget(task)
        with keeping_best_epoch(model, data, task.folder, mirrored=settings.mirrored_prediction):
            fitted = _fit(model, data, task, callbacks, observer.verbose)
    return Learned(model, data, fitted, task.settings)


def build_network(
    settings: Settings, data: ImageData, start_from: Classifier | None
) -> keras.Model:
    """Build the network that settings name, with the weights that it begins with."""
    options: dict[str, Any] = dict(settings.options)
    if start_from is None:
        return build_model(
            settings.architecture,
            data.train.input_shape,
            data.train.num_classes,
            data_format=settings.data_format,
            seed=settings.seed,
            **options,
        )
    origin = origin_of(start_from.model)
    model = build_unloaded(
        settings.architecture,
        data.train.input_shape,
        data.train.num_classes,
        data_format=settings.data_format,
        seed=settings.seed,
        options=options,
        weights_files=origin.weights_files if origin else None,
    )
    copy_weights(start_from.model, start_from.class_names, model, data.train.class_names)
    return model


def with_optimizer(task: Task, model: keras.Model) -> Task:
    """Choose what the settings leave to the network: optimizer, its usual rate, and precision."""
    settings = task.settings
    optimizer: str = settings.optimizer
    if optimizer == "auto":
        optimizer = choose_optimizer(model)
    rate = settings.learning_rate
    if rate is None:
        rate = usual_rate(optimizer)
    chosen = replace(
        settings,
        optimizer=cast("Any", optimizer),
        learning_rate=rate,
        precision=cast("Any", choose_precision(settings.precision, model)),
    )
    if chosen != settings:
        task = replace(task, settings=chosen)
        task.record()
    return task


def _measure_rate(model: keras.Model, data: ImageData, task: Task) -> float:
    """Measure the learning rate, and leave its picture in the run folder."""
    settings = task.settings
    # In two phases the rate is that of the head.
    with frozen_convolutions(model, _has_two_phases(model, settings)):
        finding = find_learning_rate(
            model,
            data.train,
            optimizer=settings.optimizer,
            weight_decay=settings.weight_decay,
            label_smoothing=settings.label_smoothing,
            precision=settings.precision,
        )
    if task.folder is not None:
        write_atomically(task.folder / "learning_rate.svg", rate_picture(finding).encode())
    return finding.suggestion


def _keep_budget(task: Task) -> list[keras.callbacks.Callback]:
    """Return the clock of a training that has a budget; a resumed one has the rest of it."""
    settings = task.settings
    if task.budget is None or settings.budget_s is None:
        return []
    state = newest_state(task.folder / "checkpoints") if task.folder is not None else None
    done = min(1.0, state.epoch / settings.epochs) if state else 0.0
    left_s = settings.budget_s * (1 - done) - (time.monotonic() - task.began_s)
    rate = cast("float", settings.learning_rate)
    return [KeepBudget(rate, left_s - task.budget.after_s, done, settings.epochs)]


def _fit(
    model: keras.Model,
    data: ImageData,
    task: Task,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: Verbose,
) -> FitResult:
    settings = task.settings
    others: dict[str, Any] = {
        "callbacks": callbacks,
        "checkpoint_dir": None if task.folder is None else task.folder / "checkpoints",
        "verbose": verbose,
    }
    if task.budget is not None:
        # The clock ends the training, also where it is faster than was planned, and the rate
        # follows it.
        planned_steps = settings.epochs * data.train.steps_per_epoch
        others |= {
            "epochs": settings.epochs * MOST_PLANS,
            "learning_rate": settings.learning_rate,
            "average_weights": settings.average_weights
            and math.ceil(AVERAGED_SHARE * planned_steps),
        }
    try:
        return fit_by_settings(model, data.train, data.val, settings, **others)
    except tf.errors.ResourceExhaustedError as error:
        raise OutOfMemoryError(
            f"A training step of {settings.batch_size} images does not fit into memory: try "
            f"--batch-size {max(1, settings.batch_size // 2)}, --shrink-batch or smaller images."
        ) from error


def fit_by_settings(
    model: keras.Model,
    train: tf.data.Dataset,
    val: Batches | None,
    settings: Settings,
    *,
    steps_per_epoch: int | None = None,
    **others: Any,
) -> FitResult:
    """Fit a network as settings say: in two phases or in one.

    Each parameter of `imgclf.fit` and `imgclf.fit_two_phase` that has a setting's name takes that
    setting.

    Args:
        model: The network.
        train: Training batches.
        val: Images that choose the epoch; without them the last one counts.
        settings: Settings that leave nothing open.
        steps_per_epoch: Training batches per epoch; None is all of `train`.
        **others: Further parameters, which go before the settings.

    Returns:
        What the fit returned.
    """
    if isinstance(train, Batches) and _has_two_phases(model, settings):
        return fit_two_phase(
            model, train, val, **{**_parameters(fit_two_phase, settings), "verbose": 0, **others}
        )
    steps = steps_per_epoch or train.steps_per_epoch
    # The optimizer counts changes of the weights.
    num_steps = settings.epochs * steps // settings.accumulate_steps
    rate = cast("float", settings.learning_rate)
    scheduled = {
        **_parameters(fit, settings),
        "learning_rate": make_schedule(settings.schedule, rate, num_steps),
        "steps_per_epoch": steps_per_epoch,
        "verbose": 0,
    }
    return fit(model, train, val, **{**scheduled, **others})


def _parameters(function: Callable[..., Any], settings: Settings) -> dict[str, Any]:
    """Return the settings that a function takes."""
    names = {item.name for item in setting_fields()} & set(inspect.signature(function).parameters)
    return {name: getattr(settings, name) for name in names}


def _has_two_phases(model: keras.Model, settings: Settings) -> bool:
    """Decide on two phases; a budget is planned for one, whose epochs all cost the same."""
    return settings.budget_s is None and in_two_phases(model, settings.two_phase)
