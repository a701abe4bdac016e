"""Passes over the batches: how many steps each has, and where a resumed one begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf

from imgclf.data.batches.dataset import Batches
from imgclf.errors import ArgumentError
from imgclf.training.checkpoints import TrainingState

__all__ = ["Part", "count_steps", "parts_of", "stream_of"]


@dataclass(frozen=True, slots=True)
class Part:
    """A call of Keras' fit: whole epochs, or the rest of one that was cut.

    Attributes:
        first_epoch: Counted from 0.
        last_epoch: The one behind the last.
        first_step: Steps of the first epoch that are done already.
        steps: Steps of each epoch; None where Keras counts them itself.
    """

    first_epoch: int
    last_epoch: int
    first_step: int
    steps: int | None


def count_steps(train: tf.data.Dataset, steps_per_epoch: int | None) -> int | None:
    """Count the batches of an epoch.

    Args:
        train: Batches.
        steps_per_epoch: What the user wants; None takes all batches.

    Returns:
        Their number; None where only Keras can count them, in the first epoch.

    Raises:
        ArgumentError: A dataset without end needs a number.
    """
    if steps_per_epoch is not None:
        return steps_per_epoch
    if isinstance(train, Batches):
        return train.steps_per_epoch
    cardinality = int(train.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise ArgumentError(
            "train has no end: give steps_per_epoch, the number of batches that make an epoch."
        )
    return None if cardinality == tf.data.UNKNOWN_CARDINALITY else cardinality


def stream_of(train: tf.data.Dataset, part: Part, steps: int | None) -> tf.data.Dataset:
    """Return batches from the place of a part on, which never run out.

    Args:
        train: Batches.
        part: Where to begin.
        steps: Batches of a whole epoch; None goes through a plain dataset once.

    Returns:
        The dataset for Keras' fit.
    """
    if isinstance(train, Batches):
        done = part.first_epoch * (steps or train.steps_per_epoch) + part.first_step
        return train.stream(*divmod(done, train.steps_per_epoch))
    return train if steps is None else train.repeat()


def parts_of(state: TrainingState | None, epochs: int, steps: int | None) -> Iterator[Part]:
    """Divide what is left of a training into calls of Keras' fit.

    Args:
        state: Where an earlier process stopped; None begins at the beginning.
        epochs: Of the whole training.
        steps: Batches of an epoch; None where only Keras can count them.

    Yields:
        At most the rest of a cut epoch, then all whole ones.
    """
    first = state.epoch if state else 0
    if state and state.step and steps:
        yield Part(first, first + 1, state.step, steps - state.step)
        first += 1
    # A training that is done already still makes the call, which gives its history.
    if first < epochs or not (state and state.step):
        yield Part(first, epochs, 0, steps)
