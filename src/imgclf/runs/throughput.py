"""Whether loading or the network sets the pace of a training, on this machine and these images."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from imgclf.data.batches.dataset import Batches
from imgclf.data.batches.image_data import build_data
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.image_folder import ImageFiles, ImageFolder
from imgclf.data.reading.layout import read_folder
from imgclf.data.store.pixel_store import open_store
from imgclf.runs.config import plain_settings
from imgclf.runs.resolution import make_plan, resolve_for_folder
from imgclf.runs.settings import Settings
from imgclf.training.loop import fit
from imgclf.zoo.builder import build_model

__all__ = ["Throughput", "measure_throughput"]

MOST_SCANNED = 2000
"""Files that are scanned to time the scan: seconds, whatever the folder's size."""

WARM_UP = 2
"""Steps that begin a stretch and are not timed: they compile, or find the first batches waiting."""

BEARABLE = 0.12
"""Share of the step that loading may cost before it is called the limit."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Images per second of each part of a training.

    Attributes:
        num_scanned: Files that were scanned to measure it.
        scan: Reading and decoding every file once, the start of the processes included.
        loading: Batches from the store, varied, with nobody using them.
        step: Training steps on one batch that is held in memory.
        training: Training steps on loaded batches.
        settings: Network, images and batches.
    """

    num_scanned: int
    scan: float
    loading: float
    step: float
    training: float
    settings: Settings = field(default_factory=Settings)

    @property
    def loading_cost(self) -> float:
        """What loading adds to a training step, as a share of it; below 0 is noise."""
        return self.step / self.training - 1

    @property
    def limit(self) -> Literal["model", "loading"]:
        """Which of the two sets the pace."""
        return "loading" if self.loading_cost > BEARABLE else "model"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **asdict(self),
            "settings": plain_settings(self.settings),
            "loading_cost": self.loading_cost,
            "limit": self.limit,
        }


def measure_throughput(
    directory: str | os.PathLike[str],
    settings: Settings,
    *,
    num_steps: int = 20,
    num_rounds: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> Throughput:
    """Measure scan, loading and training steps on a folder of images; nothing is kept.

    Steps on a held batch and on loaded batches take turns in one training, so that whatever else
    the machine does slows both.

    Args:
        directory: The folder.
        settings: Network, images and batches; what they leave open is chosen by the recipe.
        num_steps: Steps of a stretch that are timed, from 1 on.
        num_rounds: Stretches of each kind; the median counts.
        progress: Called while scanning with the number of files done and in all.

    Returns:
        The speeds.

    Raises:
        DataError: The folder cannot be used.
        UnknownArchitectureError: The architecture is not installed.

    Example:
        >>> measure_throughput("photos/", Settings()).limit        # doctest: +SKIP
        'model'
    """
    folder = read_folder(directory)
    settings = resolve_for_folder(settings, folder)
    plan = make_plan(directory, settings)
    num_scanned, scan = _time_scan(folder, plan.policy)
    train = build_data(plan, progress).train
    options: dict[str, Any] = dict(settings.options)
    model = build_model(settings.architecture, train.input_shape, train.num_classes, **options)
    step, training = _time_steps(model, train, num_steps, num_rounds)
    loading = _time_loading(train, num_steps)
    return Throughput(num_scanned, scan, loading, step, training, settings)


def _time_scan(folder: ImageFolder, policy: InputPolicy) -> tuple[int, float]:
    """Scan some files anew, whatever the store has of them."""
    every = -(-len(folder.files) // MOST_SCANNED)  # from all classes
    some = replace(folder, files=ImageFiles(folder.files[::every]))
    began_s = time.perf_counter()
    open_store(some, policy, mode="memory")
    return len(some.files), len(some.files) / (time.perf_counter() - began_s)


def _time_loading(train: Batches, num_steps: int) -> float:
    ends = [time.perf_counter() for _ in train.stream().take(WARM_UP + num_steps)]
    return train.batch_size * num_steps / (ends[-1] - ends[WARM_UP - 1])


def _time_steps(
    model: keras.Model, train: Batches, num_steps: int, num_rounds: int
) -> tuple[float, float]:
    """Train on a held batch and on loaded ones in turn, within one call of `fit`."""
    images, labels = train.source.load(0, 0)
    full = -(-train.batch_size // len(images))  # a small folder may not even fill one batch
    batch = tuple(np.concatenate([part] * full)[: train.batch_size] for part in (images, labels))
    held = tf.data.Dataset.from_tensors(batch).repeat()
    stretch = WARM_UP + num_steps
    turns = [held.take(stretch), train.stream().take(stretch)] * num_rounds
    mixed = turns[0]
    for turn in turns[1:]:
        mixed = mixed.concatenate(turn)
    durations = _step_durations(model, mixed, stretch * len(turns))
    rates = [
        train.batch_size / statistics.mean(durations[first + WARM_UP : first + stretch])
        for first in range(0, len(durations), stretch)
    ]
    return statistics.median(rates[::2]), statistics.median(rates[1::2])


def _step_durations(model: keras.Model, dataset: tf.data.Dataset, num_steps: int) -> list[float]:
    """Time each step of a training, in seconds, the wait for its batch included."""
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread would take time from the steps
    times = [time.perf_counter()]

    def note(_batch: int, logs: object) -> None:
        del logs  # Keras passes it by name
        times.append(time.perf_counter())

    watch = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    endless = dataset.with_options(options)
    fit(model, endless, epochs=1, steps_per_epoch=num_steps, callbacks=[watch], verbose=0)
    return [end - start for start, end in itertools.pairwise(times)]
