"""Ending a training at a given time, with a learning rate that has come down by then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from imgclf.errors import ArgumentError
from imgclf.training.kernels.fast_kernels import fast_kernels
from imgclf.training.loop import fit
from imgclf.training.schedules import WARM_UP_SHARE

__all__ = [
    "END_LOOKS",
    "IMAGE_SIZES",
    "BudgetPlan",
    "KeepBudget",
    "StepCost",
    "measure_steps",
    "plan_budget",
]

IMAGE_SIZES = (32, 48, 64, 80, 96, 128, 160, 192, 224)
"""Sides, in pixels, that a plan chooses from."""

END_LOOKS = 3
"""How often the held-out images are looked at after the last step; once more for each mirror."""

RESERVE_S = 3.0
"""Seconds that are kept for writing bundle and report."""

SAME_WORK = 1.15
"""Sizes whose work differs by no more than this factor are equally cheap."""

WARM_UP_STEPS, MEASURED_STEPS = 2, 4


@dataclass(frozen=True, slots=True)
class StepCost:
    """What an image costs at one size.

    Attributes:
        train_s: Seconds per training image.
        predict_s: Seconds per image that is only looked at.
    """

    train_s: float
    predict_s: float


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """How a time is going to be spent.

    Attributes:
        image_size: ``(height, width)`` in pixels.
        epochs: Passes over the training images that are expected to fit.
        after_s: Seconds that the end needs, after the last step.
    """

    image_size: tuple[int, int]
    epochs: int
    after_s: float


def measure_steps(model: keras.Model, batch_size: int, **fit_settings: Any) -> StepCost:
    """Measure training and prediction steps of a fresh network on noise.

    Args:
        model: A network that is thrown away afterwards.
        batch_size: Images per step.
        **fit_settings: Keywords of `imgclf.fit` that make a step dearer or cheaper.

    Returns:
        Seconds per image.
    """
    shape = (batch_size, *model.input_shape[1:])
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    units = model.output_shape[-1]
    labels = np.zeros((batch_size, units), np.float32)
    labels[:, 0] = 1
    batches = tf.data.Dataset.from_tensors((noise, labels)).repeat()
    clock = _Clock()
    steps = WARM_UP_STEPS + MEASURED_STEPS
    with fast_kernels(model, math.inf):  # As in the training to come, which is a long one.
        fit(model, batches, epochs=1, steps_per_epoch=steps, callbacks=[clock], **fit_settings)
    train_s = clock.steps_s[-1] - clock.steps_s[WARM_UP_STEPS - 1]
    call = tf.function(lambda images: model(images, training=False), jit_compile=False)
    call(noise)
    began_s = time.monotonic()
    call(noise).numpy()
    predict_s = time.monotonic() - began_s
    return StepCost(train_s / MEASURED_STEPS / batch_size, predict_s / batch_size)


def plan_budget(
    left_s: float,
    num_train: int,
    num_held_out: int,
    wanted_epochs: int,
    sizes: Sequence[tuple[int, int]],
    work: Callable[[tuple[int, int]], float],
    cost: Callable[[tuple[int, int]], StepCost],
    *,
    end_looks: int = END_LOOKS,
) -> BudgetPlan:
    """Choose the largest images that can still be gone through as often as wanted.

    Larger images are not always dearer: a network with strides in its stem may do the same work for
    128 pixels a side as for 32. Where no size can be gone through often enough, the largest of
    the cheap ones is taken.

    Args:
        left_s: Seconds until the end.
        num_train: Training images.
        num_held_out: Validation and test images; they are looked at in each epoch, and at the end.
        wanted_epochs: Passes that the recipe would make.
        sizes: ``(height, width)``, from small to large.
        work: Counts the operations for an image of a size; only their proportions matter.
        cost: Measures a size, which takes some seconds; called for as few as possible.
        end_looks: How often the held-out images are looked at after the last step.

    Returns:
        The plan.
    """
    if not sizes:
        raise ArgumentError("A budget needs at least one image size.")
    began_s = time.monotonic()
    works = {size: work(size) for size in sizes}
    cheap = [size for size in sizes if works[size] <= SAME_WORK * min(works.values())][-1]
    measured = cost(cheap)

    def plan(size: tuple[int, int], step: StepCost) -> BudgetPlan:
        epoch_s = num_train * step.train_s + num_held_out * step.predict_s
        after_s = end_looks * num_held_out * step.predict_s + RESERVE_S
        rest_s = left_s - (time.monotonic() - began_s) - after_s
        return BudgetPlan(size, max(1, int(rest_s / epoch_s)), after_s)

    for size in reversed(sizes[sizes.index(cheap) + 1 :]):
        ratio = works[size] / works[cheap]
        estimate = StepCost(measured.train_s * ratio, measured.predict_s * ratio)
        if plan(size, estimate).epochs >= wanted_epochs:
            larger = plan(size, cost(size))
            if larger.epochs >= wanted_epochs:
                return larger
    return plan(cheap, measured)


class KeepBudget(keras.callbacks.Callback):
    """Lets the rate follow the clock instead of the steps, and ends the training on time.

    However fast the machine turns out to be, and whatever else runs on it, the rate has risen
    and come down to zero (half a cosine) when the time is over.
    """

    def __init__(
        self,
        learning_rate: float,
        fit_s: float,
        done_share: float = 0.0,
        planned_epochs: int | None = None,
    ) -> None:
        """Keep a time.

        Args:
            learning_rate: The highest rate.
            fit_s: Seconds of the training.
            done_share: Share of the training, 0 to 1, that an earlier process has done.
            planned_epochs: The number of epochs that a display shall show; None shows the limit.
        """
        super().__init__()
        self._planned_epochs = planned_epochs
        self._learning_rate = learning_rate
        self._fit_s = fit_s
        self._done_share = done_share
        self._began_s = 0.0
        self._validation_s = 0.0
        self._test_began_s = 0.0

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        """Start the clock."""
        self._began_s = self._began_s or time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Let the display, which shares the parameters, show the plan instead of the limit."""
        if self._planned_epochs is not None:
            self.params["epochs"] = max(self._planned_epochs, epoch + 1)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Set the rate of the moment."""
        share = min(1.0, self._share())
        if share < WARM_UP_SHARE:
            factor = max(share / WARM_UP_SHARE, 1e-3)
        else:
            factor = 0.5 + 0.5 * math.cos(math.pi * (share - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))
        self.model.optimizer.learning_rate = self._learning_rate * factor

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Leave off when only the time for one more look at the validation images is left."""
        if self._share(self._validation_s) >= 1:
            self.model.stop_training = True

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Start the clock of the validation."""
        self._test_began_s = time.monotonic()

    def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Know what the last look costs."""
        self._validation_s = time.monotonic() - self._test_began_s

    def _share(self, ahead_s: float = 0.0) -> float:
        """Return how much of the training is done, `ahead_s` from now."""
        elapsed_s = time.monotonic() + ahead_s - self._began_s
        return self._done_share + (1 - self._done_share) * elapsed_s / max(self._fit_s, 1e-9)


class _Clock(keras.callbacks.Callback):
    """Writes down when each step ends."""

    def __init__(self) -> None:
        super().__init__()
        self.steps_s: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Take the time."""
        self.steps_s.append(time.monotonic())
