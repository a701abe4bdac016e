"""A dataset that stays in its process, read by others."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from imgclf.errors import DataError
from imgclf.tuning.dataset_server import receive_batches, serve_dataset


def test_every_pass_is_made_anew_and_may_be_left(tmp_path: Path) -> None:
    """Each pass is shuffled anew; one that is left early ends; nothing runs on afterwards."""
    before = threading.active_count()
    numbers = tf.data.Dataset.range(64).shuffle(64).batch(16)
    dataset = numbers.map(lambda batch: (tf.ones((16, 2, 2, 1), tf.uint8), batch))
    with serve_dataset(dataset, tmp_path) as address:
        first, second = (
            np.concatenate([labels for _, labels in receive_batches(address)]) for _ in range(2)
        )
        left = receive_batches(address)
        images, _ = next(left)
        left.close()
    assert sorted(first) == sorted(second) == list(range(64))
    assert list(first) != list(second)
    assert images.shape == (16, 2, 2, 1)
    assert images.dtype == np.uint8
    assert threading.active_count() == before


def test_a_dataset_that_fails_says_so_to_the_trial(tmp_path: Path) -> None:
    """What the caller's own code raises reaches the trial, after the batches before it."""

    def fail() -> Any:
        yield np.zeros((1, 2, 2, 1), np.uint8), np.zeros(1, np.int64)
        raise KeyError("the second image")

    signature = (tf.TensorSpec((None, 2, 2, 1), tf.uint8), tf.TensorSpec((None,), tf.int64))
    dataset = tf.data.Dataset.from_generator(fail, output_signature=signature)
    with serve_dataset(dataset, tmp_path) as address:
        batches = receive_batches(address)
        next(batches)
        with pytest.raises(DataError, match="the second image"):
            next(batches)
