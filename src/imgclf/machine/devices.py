"""The devices of a machine, which share each batch."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import tensorflow as tf

from imgclf.machine.startup import silenced_stderr

__all__ = ["choose_strategy", "divisible_batch_size", "has_gpu", "num_replicas"]


@functools.cache
def has_gpu() -> bool:
    """Tell whether TensorFlow has a GPU; what it logs where a driver is missing is no error."""
    with silenced_stderr():
        return bool(tf.config.list_physical_devices("GPU"))


def choose_strategy() -> tf.distribute.Strategy:
    """Choose where a network lives: on all GPUs of this machine, each with a part of every batch.

    Returns:
        The strategy whose scope the caller stands in, else a mirrored one where there are two GPUs
        or more, else TensorFlow's default.
    """
    one_device = not has_gpu() or len(tf.config.list_logical_devices("GPU")) < 2
    if tf.distribute.has_strategy() or one_device:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy()


def num_replicas() -> int:
    """Return the number of devices that share each batch, in the scope where this is called."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def divisible_batch_size(batch_size: int, counts: Iterable[int], replicas: int) -> int:
    """Return the largest batch size up to the given one that leaves no device without an image.

    The last batch of an epoch is smaller; divided among the devices, none may get an empty
    part, on which batch normalisation fails.

    Args:
        batch_size: The wanted one, over all devices.
        counts: Images of each data set.
        replicas: Number of devices.

    Returns:
        A batch size; the given one on a single device.

    Example:
        >>> divisible_batch_size(32, [65, 64], replicas=2)
        31
    """
    counts = list(counts)
    for size in range(batch_size, replicas, -1):
        if all(_fills(count % size or size, replicas) for count in counts):
            return size
    return batch_size if replicas == 1 else replicas


def _fills(images: int, replicas: int) -> bool:
    """Whether every device gets an image when a batch is cut into equal parts, rounded up."""
    return -(-images // replicas) * (replicas - 1) < images
