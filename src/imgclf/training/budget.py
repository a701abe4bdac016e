"""The time budget of a training: its plan, and the callback that keeps it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from imgclf.errors import ArgumentError
from imgclf.training.schedules import WARM_UP_SHARE
from imgclf.training.speed import StepCost

__all__ = [
    "END_LOOKS",
    "IMAGE_SIZES",
    "BudgetPlan",
    "KeepBudget",
    "plan_budget",
]

IMAGE_SIZES = (32, 48, 64, 80, 96, 128, 160, 192, 224)
"""Sides, in pixels, that a plan chooses from."""

END_LOOKS = 3
"""Predictions of the held-out images after the last step; mirrored prediction adds one."""

RESERVE_S = 3.0
"""Seconds for writing the classifier and the report."""

SAME_WORK = 1.15
"""Image sizes whose work differs by at most this factor count as equally cheap."""


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """How a time budget is spent.

    Attributes:
        image_size: ``(height, width)`` in pixels.
        epochs: Epochs that are expected to fit into the budget.
        after_s: Seconds for everything after the last step.
    """

    image_size: tuple[int, int]
    epochs: int
    after_s: float


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
    """Choose the largest image size for which the wanted epochs fit into the time.

    Larger images are not always dearer: a network with strides in its stem may do the same work for
    128 pixels a side as for 32. Where the epochs fit at no size, the largest of the cheapest sizes
    is taken.

    Args:
        left_s: Seconds that are left of the budget.
        num_train: Training images.
        num_held_out: Validation and test images; predicted in each epoch, and at the end.
        wanted_epochs: Epochs of the recipe.
        sizes: ``(height, width)`` in pixels, from small to large; at least one.
        work: Returns the operations for an image of a size; only their ratios matter.
        cost: Measures a size, which takes some seconds; called for as few as possible.
        end_looks: Predictions of the held-out images after the last step.

    Returns:
        The plan, of one epoch at least.

    Raises:
        ArgumentError: `sizes` is empty.
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
    """Drives the learning-rate schedule by the clock, and ends the training on time.

    Warm-up and cosine decay are complete when the time is over, however fast the machine is and
    whatever else runs on it.
    """

    def __init__(
        self,
        learning_rate: float,
        fit_s: float,
        done_share: float = 0.0,
        planned_epochs: int | None = None,
    ) -> None:
        """Set the time.

        Args:
            learning_rate: Peak of the schedule.
            fit_s: Seconds of the training.
            done_share: Share of the training, 0 to 1, that an earlier process has done.
            planned_epochs: Epochs that the progress display shows; None shows those of `fit`.
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
        """Show the planned epochs in the progress display, which shares these parameters."""
        if self._planned_epochs is not None:
            self.params["epochs"] = max(self._planned_epochs, epoch + 1)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Set the learning rate for the time."""
        share = min(1.0, self._share())
        if share < WARM_UP_SHARE:
            factor = max(share / WARM_UP_SHARE, 1e-3)
        else:
            factor = 0.5 + 0.5 * math.cos(math.pi * (share - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))
        self.model.optimizer.learning_rate = self._learning_rate * factor

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Stop when the time that is left is that of a validation."""
        if self._share(self._validation_s) >= 1:
            self.model.stop_training = True

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Start the clock of the validation."""
        self._test_began_s = time.monotonic()

    def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Note how long the validation took."""
        self._validation_s = time.monotonic() - self._test_began_s

    def _share(self, ahead_s: float = 0.0) -> float:
        """Return the share of the time that will be over `ahead_s` seconds from now."""
        elapsed_s = time.monotonic() + ahead_s - self._began_s
        return self._done_share + (1 - self._done_share) * elapsed_s / max(self._fit_s, 1e-9)
