"""A training is divided into calls of Keras' fit, also where an earlier one was interrupted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from imgclf.errors import ArgumentError
from imgclf.training.checkpoints import TrainingState
from imgclf.training.epochs import EpochRange, Epochs, count_steps

NUMBERS = tf.data.Dataset.range(12).batch(4)


def state(epoch: int, step: int) -> TrainingState:
    """Return a checkpoint of a place in a training."""
    return TrainingState(epoch, step, [], [], [], None, (0.0, 0.0))


def places(dataset: tf.data.Dataset) -> Iterator[int]:
    """Return the first number of each batch."""
    return (int(batch[0]) for batch in dataset.as_numpy_iterator())


@pytest.mark.parametrize(
    ("resumed", "expected"),
    [
        (None, [EpochRange(0, 5, 0, 3)]),
        (state(2, 0), [EpochRange(2, 5, 0, 3)]),
        (state(2, 1), [EpochRange(2, 3, 1, 2), EpochRange(3, 5, 0, 3)]),
        (state(4, 2), [EpochRange(4, 5, 2, 1)]),
        (state(5, 0), [EpochRange(5, 5, 0, 3)]),
    ],
)
def test_each_step_is_made_once(resumed: TrainingState, expected: list[EpochRange]) -> None:
    """The rest of an interrupted epoch comes first, then whole epochs; nothing is made twice."""
    assert list(Epochs(NUMBERS, 5, 3).ranges(resumed)) == expected


def test_a_plain_dataset_is_repeated_where_its_steps_are_known() -> None:
    """Epochs longer or shorter than the dataset find their batches; otherwise Keras counts."""
    epochs = Epochs(NUMBERS, 2, 4)
    part = next(epochs.ranges(None))
    assert list(places(epochs.batches(part).take(5))) == [0, 4, 8, 0, 4]
    assert epochs.num_steps == 8
    uncounted = Epochs(NUMBERS, 2, None)
    assert list(places(uncounted.batches(next(uncounted.ranges(None))))) == [0, 4, 8]
    assert uncounted.num_steps is None


def test_steps_are_counted_or_asked_for() -> None:
    """A number that is given counts; an endless dataset needs one; some only Keras can count."""
    assert count_steps(NUMBERS, None) == 3
    assert count_steps(NUMBERS.repeat(), 7) == 7
    assert count_steps(NUMBERS.filter(lambda batch: np.True_), None) is None  # noqa: ARG005
    with pytest.raises(ArgumentError, match="train is endless: give steps_per_epoch"):
        count_steps(NUMBERS.repeat(), None)
