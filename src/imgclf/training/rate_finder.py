"""The learning-rate range test."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgclf.arguments import whole_number
from imgclf.errors import ArgumentError, TrainingError
from imgclf.training.loop import fit

__all__ = ["RateFinding", "find_learning_rate"]

LOWEST_RATE, HIGHEST_RATE = 1e-6, 1.0

NUM_STEPS = 120

SMOOTHING = 0.9
"""Momentum of the average over the losses of single batches, which jump."""

EXPLODED = 3.0
"""The test ends when the smoothed loss is this many times its minimum."""

FEWEST_STEPS = 10

SLOPES = 10
"""Share of the test, as 1 / SLOPES, over which the fall of the loss is measured."""


@dataclass(frozen=True, slots=True, eq=False)
class RateFinding:
    """What a learning-rate range test gave.

    Attributes:
        suggestion: The learning rate to train with, as the peak of a schedule.
        rates: float64 ``(num_steps,)``, the rates that were tried, rising.
        losses: float64 ``(num_steps,)``, the smoothed loss at each.

    Example:
        >>> finding = imgclf.find_learning_rate(model, train)                       # doctest: +SKIP
        >>> rate = finding.suggestion                                               # doctest: +SKIP
        >>> result = imgclf.fit(model, train, epochs=20, learning_rate=rate)        # doctest: +SKIP
    """

    suggestion: float
    rates: NDArray[np.float64]
    losses: NDArray[np.float64]


def find_learning_rate(
    model: keras.Model,
    train: tf.data.Dataset,
    *,
    optimizer: str = "adam",
    num_steps: int = NUM_STEPS,
    **fit_settings: Any,
) -> RateFinding:
    """Find a learning rate for a network and its images; the weights are restored afterwards.

    A learning-rate range test (Smith 2015, arXiv:1506.01186): over a hundred steps the rate rises
    from 1e-6 to 1 by a constant factor, and the loss first falls, then explodes. Suggested
    is the geometric mean of the rate at which the loss falls fastest and a tenth of the one
    at which it is lowest, as practice has it (fastai's ``lr_find``).

    Args:
        model: What `imgclf.build_model` returns; not compiled by you.
        train: Training batches.
        optimizer: The optimizer's name; each has rates of its own.
        num_steps: Steps of the test at the most, from 20 on.
        **fit_settings: Further keywords of `imgclf.fit`, such as ``weight_decay``.

    Returns:
        The suggestion, and the curve.

    Raises:
        ArgumentError: An argument is out of range, or the model has an optimizer of its own.
        TrainingError: The loss is NaN or infinite within the first steps.

    Example:
        >>> finding = imgclf.find_learning_rate(model, train)                # doctest: +SKIP
        >>> imgclf.fit(model, train, epochs=20, learning_rate=finding.suggestion)  # doctest: +SKIP
    """
    num_steps = whole_number("num_steps", num_steps, 2 * FEWEST_STEPS)
    _require_settings(fit_settings)
    weights = model.get_weights()
    record = _Record()
    try:
        fit(
            model,
            train,
            epochs=1,
            steps_per_epoch=num_steps,
            optimizer=optimizer,
            learning_rate=RisingRate(num_steps),
            callbacks=[record],
            verbose=0,
            **fit_settings,
        )
    except TrainingError:
        # The loss left the range of numbers: the end of the curve.
        if len(record.losses) < FEWEST_STEPS:
            raise
    finally:
        model.set_weights(weights)
    rates = RisingRate(num_steps).table()[: len(record.smoothed)]
    losses = np.array(record.smoothed)
    return RateFinding(_suggest(rates, losses), rates, losses)


def _require_settings(given: Mapping[str, Any]) -> None:
    """Refuse keywords that are none of `fit`, or that the test decides itself."""
    decided = {"model", "train", "epochs", "steps_per_epoch", "learning_rate", "callbacks"}
    known = inspect.signature(fit).parameters.keys() - decided
    for name in given:
        if name in decided:
            raise ArgumentError(f"{name}={given[name]!r} is what the range test decides itself.")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f": did you mean {close[0]!r}?" if close else "."
            raise ArgumentError(f"{name!r} is no keyword of imgclf.fit{hint}")


def _suggest(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> float:
    """Return the mean, in logarithms, of the steepest place and a tenth of the lowest one."""
    lowest = int(np.argmin(losses))
    # Over a tenth of the test: single batches differ more than neighbouring rates do.
    width = len(rates) // SLOPES
    falls = losses[width:] - losses[:-width]
    steepest = int(np.argmin(falls[: max(lowest - width, 0) + 1])) + width // 2
    return float(math.sqrt(rates[steepest] * rates[lowest] / 10))


@keras.saving.register_keras_serializable("imgclf")
class RisingRate(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises by a constant factor with each step."""

    def __init__(self, num_steps: int) -> None:
        """Rise from the lowest rate to the highest in so many steps."""
        self._num_steps = num_steps
        self._factor = (HIGHEST_RATE / LOWEST_RATE) ** (1 / (num_steps - 1))

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step."""
        return LOWEST_RATE * keras.ops.power(self._factor, keras.ops.cast(step, "float32"))

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes it again from."""
        return {"num_steps": self._num_steps}

    def table(self) -> NDArray[np.float64]:
        """Return the rate of each step."""
        steps = np.arange(self._num_steps, dtype=np.float64)
        return np.asarray(LOWEST_RATE * self._factor**steps)


class _Record(keras.callbacks.Callback):
    """Writes down the loss of each batch, and ends the test when it explodes."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self._mean = 0.0
        self._average = 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Take the batch's own loss out of Keras' running mean."""
        mean = float((logs or {})["loss"])
        if not math.isfinite(mean):
            return  # `fit` ends the training with an error.
        loss = mean * (batch + 1) - self._mean * batch
        self._mean = mean
        self.losses.append(loss)
        self._average = SMOOTHING * self._average + (1 - SMOOTHING) * loss
        self.smoothed.append(self._average / (1 - SMOOTHING ** len(self.losses)))
        enough = len(self.losses) >= FEWEST_STEPS
        if enough and self.smoothed[-1] > EXPLODED * min(self.smoothed):
            self.model.stop_training = True
