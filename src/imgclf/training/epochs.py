"""The epochs of a training: their steps, their batches, and where a resumed one begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import tensorflow as tf

from imgclf.data.batches.dataset import Batches
from imgclf.errors import ArgumentError
from imgclf.training.checkpoints import TrainingState
from imgclf.training.soft_labels import weigh_classes

__all__ = ["EpochRange", "Epochs", "count_steps"]


@dataclass(frozen=True, slots=True)
class EpochRange:
    """The epochs of one call of Keras' fit: whole ones, or the rest of one that was interrupted.

    Attributes:
        start: The first epoch, counted from 0.
        stop: The epoch after the last one.
        first_step: Steps of the first epoch that are done already.
        steps: Steps of each epoch; None where only Keras can count them.
    """

    start: int
    stop: int
    first_step: int
    steps: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Epochs:
    """The epochs of a training.

    Attributes:
        train: Training batches.
        count: Number of epochs.
        steps: Batches of an epoch; None where only Keras can count them, in the first epoch.
        class_weight: Weight of each class in the loss, by class index; None weighs all alike.
    """

    train: tf.data.Dataset
    count: int
    steps: int | None
    class_weight: dict[int, float] | None = None

    @property
    def num_steps(self) -> int | None:
        """Steps of the whole training; None where only Keras can count them."""
        return None if self.steps is None else self.count * self.steps

    @property
    def keras_class_weight(self) -> Mapping[int, float] | None:
        """The class weights that are left to Keras; `batches` applies those of `Batches`."""
        return None if isinstance(self.train, Batches) else self.class_weight

    def ranges(self, state: TrainingState | None) -> Iterator[EpochRange]:
        """Divide what is left of the training into calls of Keras' fit.

        Args:
            state: The checkpoint to resume from; None begins at the beginning.

        Yields:
            The rest of an interrupted epoch, if there is one, then all whole ones.
        """
        start = state.epoch if state else 0
        if state and state.step and self.steps:
            yield EpochRange(start, start + 1, state.step, self.steps - state.step)
            start += 1
        # A training that is complete still makes the call, which builds Keras' history.
        if start < self.count or not (state and state.step):
            yield EpochRange(start, self.count, 0, self.steps)

    def batches(self, part: EpochRange) -> tf.data.Dataset:
        """Return the batches of a range, weighted by class; they do not run out.

        Args:
            part: One of `ranges`.

        Returns:
            The dataset for Keras' fit; a plain one that Keras must count is gone through once.
        """
        train = self.train
        if not isinstance(train, Batches):
            return train if self.steps is None else train.repeat()
        done = part.start * (self.steps or train.steps_per_epoch) + part.first_step
        stream = train.stream(*divmod(done, train.steps_per_epoch))
        if self.class_weight is None:
            return stream
        return weigh_classes(stream, self.class_weight, train.num_classes)


def count_steps(train: tf.data.Dataset, steps_per_epoch: int | None) -> int | None:
    """Count the batches of an epoch.

    Args:
        train: Training batches.
        steps_per_epoch: What the user asks for; None takes all batches.

    Returns:
        Their number; None where only Keras can count them, in the first epoch.

    Raises:
        ArgumentError: An endless dataset needs `steps_per_epoch`.
    """
    if steps_per_epoch is not None:
        return steps_per_epoch
    if isinstance(train, Batches):
        return train.steps_per_epoch
    cardinality = int(train.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise ArgumentError(
            "train is endless: give steps_per_epoch, the number of batches that make an epoch."
        )
    return None if cardinality == tf.data.UNKNOWN_CARDINALITY else cardinality
