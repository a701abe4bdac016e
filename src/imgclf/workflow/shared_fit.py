"""Fitting a worker's share of a training on several machines."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import keras
import tensorflow as tf

from imgclf.data.batches.image_data import build_data
from imgclf.errors import DataError, ImgclfError, OutOfMemoryError, TrainingError
from imgclf.runs.folder import split_csv, split_rows
from imgclf.training.checkpoints import INTERVAL_S
from imgclf.training.fine_tuning import fine_tuning
from imgclf.training.shared_steps import shared_steps
from imgclf.training.workers import Workers, join_workers
from imgclf.workflow.learner import fit_by_settings
from imgclf.workflow.shared_task import Event, Listener, Outcome, SharedTask
from imgclf.workflow.transfer import frozen_convolutions
from imgclf.zoo.builder import build_unloaded

__all__ = ["fit_share"]

NEVER_S = 1e9
"""Between two checkpoints within an epoch: the first worker alone writes those."""


def fit_share(task: SharedTask, addresses: Sequence[str], index: int, worker: Listener) -> Outcome:
    """Join the other workers and fit the network together with them.

    Args:
        task: What is to be learned.
        addresses: ``host:port`` of each worker.
        index: This worker.
        worker: Is told how it goes on, and has the folder for checkpoints.

    Returns:
        The weights of the best epoch, or why there are none.
    """
    try:
        workers = join_workers(addresses, index)
    except TrainingError as error:
        return Outcome(lost=str(error))
    try:
        return _fit(task, workers, worker)
    except tf.errors.ResourceExhaustedError:
        size = task.settings.batch_size
        return Outcome(
            error=OutOfMemoryError(
                f"The memory of {socket.gethostname()} does not hold its part of {size} images: "
                f"try --batch-size {max(1, size // 2)}, or more workers, or smaller images."
            )
        )
    except tf.errors.OpError as error:
        return Outcome(lost=f"{type(error).__name__}: {error.message.splitlines()[0]}")
    except ImgclfError as error:
        return Outcome(error=error)


def _fit(task: SharedTask, workers: Workers, worker: Listener) -> Outcome:
    data = build_data(task.plan)
    if split_csv(split_rows(data))[1] != task.split_sha256:
        raise DataError(
            f"The machine {socket.gethostname()} has other images under {task.plan.train_dir}: "
            "every machine of the cluster must see the same folder under the same path."
        )
    train = data.train.share(workers.index, workers.count)
    val = data.val.share(workers.index, workers.count)
    settings = task.settings
    model = build_unloaded(
        settings.architecture,
        train.input_shape,
        train.num_classes,
        data_format=settings.data_format,
        seed=settings.seed,
        options=settings.options,
    )
    model.set_weights(list(task.weights))
    if task.checkpoint is not None:
        name, content = task.checkpoint
        (worker.folder / name).write_bytes(content)
    with (
        frozen_convolutions(model, settings.freeze),
        fine_tuning(model) if task.is_fine_tuning else nullcontext(),
        shared_steps(model, workers, worker.is_stop_requested) as course,
    ):
        fitted = fit_by_settings(
            model,
            train,
            val,
            settings,
            callbacks=[course, _Reporter(worker)],
            checkpoint_dir=worker.folder,
            checkpoint_interval_s=INTERVAL_S if workers.is_first else NEVER_S,
            jit_compile=False,
        )
    return Outcome(model.get_weights() if workers.is_first else (), fitted)


class _Reporter(keras.callbacks.Callback):
    """Notes what happens, for the driver."""

    def __init__(self, worker: Listener) -> None:
        super().__init__()
        self._worker = worker

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        self._worker.note(Event("on_train_begin", params=dict(self.params)))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self._worker.note(Event("on_epoch_begin", epoch))

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._worker.note(Event("on_train_batch_end", batch, _plain(logs)))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        self._worker.note()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._worker.note(Event("on_epoch_end", epoch, _plain(logs)))


def _plain(logs: Mapping[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (logs or {}).items()}
