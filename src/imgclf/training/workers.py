"""The workers of a training on several machines, which compute every step together.

Each process has an ordinary Keras network with the same weights. What is computed together goes
through TensorFlow's collectives, which `tf.distribute.MultiWorkerMirroredStrategy` sets up; the
network's variables are not made in its scope, because Keras' `fit` does not work there
(https://github.com/keras-team/keras/issues/20585). So a variable is read without the other
workers, and a worker waits for the others nowhere but in the calls below.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgclf.errors import TrainingError

__all__ = ["Workers", "cluster_config", "join_workers"]


def cluster_config(addresses: Sequence[str], worker: int) -> str:
    """Return the value of ``TF_CONFIG``, by which TensorFlow finds the other workers.

    Args:
        addresses: ``host:port`` of each worker.
        worker: Index of the worker that it is for.

    Returns:
        JSON.
    """
    task = {"type": "worker", "index": worker}
    return json.dumps({"cluster": {"worker": list(addresses)}, "task": task})


def join_workers(addresses: Sequence[str], worker: int) -> Workers:
    """Join the other workers, and wait until all are there; before TensorFlow computes anything.

    TensorFlow listens on the port of its own address on every interface, without a password.

    Args:
        addresses: ``host:port`` of each worker.
        worker: Index of this process.

    Returns:
        What the workers compute together.

    Raises:
        TrainingError: They could not be joined.
    """
    os.environ["TF_CONFIG"] = cluster_config(addresses, worker)
    gpus = tf.config.list_physical_devices("GPU")
    tf.config.set_visible_devices(gpus[:1], "GPU")
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"Worker {worker + 1} of {len(addresses)} cannot join the others at "
            f"{', '.join(addresses)}: {reason}"
        ) from error
    return Workers(strategy, worker, len(addresses))


class Workers:
    """What the workers of a training compute together.

    Every worker must make the same calls in the same order: a call returns when all have made it.

    Attributes:
        index: This worker, counted from 0; the first one decides.
        count: Number of workers.
    """

    def __init__(self, strategy: tf.distribute.Strategy, index: int, count: int) -> None:
        self._strategy = strategy
        self.index = index
        self.count = count
        self._sum_outside = tf.function(lambda tensors: self.run(_sum, tensors), autograph=False)

    @property
    def is_first(self) -> bool:
        """Whether this worker decides."""
        return self.index == 0

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function that computes together with the others; part of a graph.

        Args:
            function: May call `sum` and `joined`.
            *arguments: Tensors.

        Returns:
            What it returned.
        """
        return self._strategy.run(function, args=arguments)

    def sum(self, values: Any) -> Any:
        """Return sums over the workers, through which gradients flow; inside of `run`."""
        return _sum(values)

    def joined(self, values: tf.Tensor) -> tf.Tensor:
        """Return the rows of all workers, in their order; inside of `run`.

        Args:
            values: ``(rows, columns)``; each worker may have another number of rows.

        Returns:
            ``(rows of all, columns)``.
        """
        rows = tf.distribute.get_replica_context().all_gather(tf.identity(values), axis=0)
        # The exchange forgets the number of columns, from which Keras chooses its accuracy.
        return tf.ensure_shape(rows, (None, values.shape[1]))

    def first(self, values: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the first worker's values, bit for bit; outside of graphs.

        Args:
            values: Arrays of the same shapes and types on every worker.

        Returns:
            The first worker's.
        """
        found = [np.asarray(value) for value in values]
        for kind in sorted({value.dtype.str for value in found}):  # An exchange has one type.
            places = [place for place, value in enumerate(found) if value.dtype.str == kind]
            sent = [
                found[place] if self.is_first else np.zeros_like(found[place]) for place in places
            ]
            sums = self._sum_outside([tf.constant(value) for value in sent])
            for place, value in zip(places, sums, strict=True):
                found[place] = value.numpy()
        return found


def _sum(values: Any) -> Any:
    # A tensor that was made outside has no device, which the exchange needs.
    here = tf.nest.map_structure(tf.identity, values)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here)
