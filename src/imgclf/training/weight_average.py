"""The exponential moving average of the weights, which is validated and kept in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from imgclf.arguments import whole_number

__all__ = ["AveragedWeights", "average_momentum", "averaged_training"]

AVERAGED_SHARE = 0.05
"""Share of a training that the moving average spans."""

LEAST_MOMENTUM, GREATEST_MOMENTUM = 0.9, 0.9998


class AveragedWeights(keras.callbacks.Callback):
    """Swaps the optimizer's averages into the network while it is validated.

    The optimizer keeps a moving average of each trainable weight (Polyak and Juditsky 1992; for
    networks Tarvainen and Valpola 2017, arXiv:1703.01780). Training continues with the weights
    themselves; validation, the best epoch and the result take the averages.
    """

    def __init__(self) -> None:
        super().__init__()
        self._measured: Sequence[Any] = []
        self._own: list[Any] | None = None

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        """Swap the averages in."""
        self.put_in_place()

    def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        """Keep the averages, and swap the weights back."""
        self._measured = self.model.get_weights()
        self.give_back()

    def measured(self, model: keras.Model) -> Sequence[Any]:
        """Return all weights as they were validated last, in the order of `get_weights`."""
        return self._measured or model.get_weights()

    def put_in_place(self) -> None:
        """Swap the averages in, once there was a step."""
        averages = self.model.optimizer._model_variables_moving_average  # noqa: SLF001
        if not int(self.model.optimizer.iterations.numpy()):
            return
        variables = self.model.optimizer._trainable_variables  # noqa: SLF001 - in their order
        self._own = [variable.numpy() for variable in variables]
        for variable, average in zip(variables, averages, strict=True):
            variable.assign(average)

    def give_back(self) -> None:
        """Swap the weights back."""
        if self._own is None:
            return
        variables = self.model.optimizer._trainable_variables  # noqa: SLF001
        for variable, value in zip(variables, self._own, strict=True):
            variable.assign(value)
        self._own = None


def averaged_training(average_weights: bool | int, num_steps: int) -> int | None:
    """Return the length of the training whose last twentieth is averaged.

    Args:
        average_weights: Whether to average, or the steps that the average shall span.
        num_steps: Steps of the training.

    Returns:
        Its steps; None averages nothing.

    Example:
        >>> averaged_training(True, 500), averaged_training(40, 500), averaged_training(False, 500)
        (500, 800, None)
    """
    if isinstance(average_weights, bool):
        return num_steps if average_weights else None
    steps = whole_number("average_weights", average_weights, 0)
    return round(steps / AVERAGED_SHARE) if steps else None


def average_momentum(num_steps: int) -> float:
    """Return the momentum of a moving average over the last twentieth of a training.

    Args:
        num_steps: Steps of the whole training.

    Returns:
        From 0.9 (short trainings) to 0.9998.

    Example:
        >>> average_momentum(100), average_momentum(20_000)
        (0.9, 0.999)
    """
    span = max(1.0, AVERAGED_SHARE * num_steps)
    return min(max(1 - 1 / span, LEAST_MOMENTUM), GREATEST_MOMENTUM)
