"""Learning-rate schedules."""

from __future__ import annotations

from typing import Literal

import keras

from imgclf.errors import ArgumentError

__all__ = ["Schedule", "make_schedule"]

Schedule = Literal["constant", "cosine"]

WARM_UP_SHARE = 0.1
"""Share of all steps with linear warm-up from zero (Goyal et al. 2017, arXiv:1706.02677)."""


def make_schedule(
    name: Schedule, learning_rate: float, num_steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Make the learning-rate schedule of a training.

    Args:
        name: ``"constant"``; or ``"cosine"``: linear warm-up over the first tenth, then cosine
            decay to zero (Loshchilov and Hutter 2016, arXiv:1608.03983).
        learning_rate: The peak.
        num_steps: Steps of the whole training.

    Returns:
        What an optimizer takes as its learning rate.

    Raises:
        ArgumentError: The name is unknown.

    Example:
        >>> rate = make_schedule("cosine", 1e-3, num_steps=100)
        >>> [round(float(rate(step)), 5) for step in (0, 10, 100)]
        [0.0, 0.001, 0.0]
    """
    if name == "constant":
        return learning_rate
    if name != "cosine":
        raise ArgumentError(f"schedule={name!r} is not accepted: give 'constant' or 'cosine'.")
    warm_up = round(WARM_UP_SHARE * num_steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warm_up else learning_rate,
        decay_steps=max(1, num_steps - warm_up),
        warmup_target=learning_rate if warm_up else None,
        warmup_steps=warm_up,
    )
