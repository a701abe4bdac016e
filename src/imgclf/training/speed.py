"""How fast a network trains and predicts on this machine."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from imgclf.training.kernels.fast_kernels import fast_kernels
from imgclf.training.loop import fit

__all__ = ["Speed", "StepCost", "measure_speed", "measure_step_cost", "mega_flop"]


@dataclass(frozen=True, slots=True)
class Speed:
    """Images per second of the fastest step, which other processes slow down least.

    Attributes:
        train_images_per_s: Of training steps, in the precision that `imgclf.fit` chooses.
        predict_images_per_s: Of prediction, in float32.
    """

    train_images_per_s: float
    predict_images_per_s: float


@dataclass(frozen=True, slots=True)
class StepCost:
    """Seconds per image.

    Attributes:
        train_s: Of training.
        predict_s: Of prediction.
    """

    train_s: float
    predict_s: float


def measure_speed(model: keras.Model, *, batch_size: int = 32, num_steps: int = 5) -> Speed:
    """Measure a network on noise; its weights change.

    Args:
        model: What `imgclf.build_model` returned, for channels-last images.
        batch_size: Images per step.
        num_steps: Steps that are timed.

    Returns:
        The speeds.

    Example:
        >>> import imgclf
        >>> speed = measure_speed(imgclf.build_model("three_conv", (32, 32, 3), filters=8))
        >>> speed.predict_images_per_s > speed.train_images_per_s > 0
        True
    """
    images, labels = _noise(model, batch_size)
    training = _training_durations(model, images, labels, num_steps)
    prediction = _prediction_durations(model, images, num_steps)
    return Speed(batch_size / min(training), batch_size / min(prediction))


WARM_UP_STEPS, MEASURED_STEPS = 1, 4


def measure_step_cost(model: keras.Model, batch_size: int, **fit_settings: Any) -> StepCost:
    """Measure what an image costs in a long training; the weights change.

    Args:
        model: What `imgclf.build_model` returned.
        batch_size: Images per step.
        **fit_settings: Keywords of `imgclf.fit` that change the cost of a step.

    Returns:
        The mean over a few steps.
    """
    images, labels = _noise(model, batch_size)
    with fast_kernels(model, math.inf):
        training = _training_durations(
            model, images, labels, WARM_UP_STEPS + MEASURED_STEPS, **fit_settings
        )
    train_s = sum(training[WARM_UP_STEPS:]) / MEASURED_STEPS
    [predict_s] = _prediction_durations(model, images, 1)
    return StepCost(train_s / batch_size, predict_s / batch_size)


def mega_flop(model: keras.Model) -> float | None:
    """Count additions and multiplications of one image's convolutions and dense layers.

    Each weight of a kernel is multiplied and added once per position of the layer's output.

    Args:
        model: What `imgclf.build_model` returned.

    Returns:
        Millions of operations; None where nested layers do not know the size of their feature
        maps, as in KerasHub's backbones.
    """
    flop = 0
    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - nested ones too
        if not hasattr(layer, "kernel"):
            continue
        shape = layer.output.shape
        channels_first = getattr(layer, "data_format", None) == "channels_first"
        positions = shape[2:] if channels_first else shape[1:-1]
        if None in positions:
            return None
        flop += 2 * math.prod(layer.kernel.shape) * math.prod(positions)
    return flop / 1e6


def _noise(model: keras.Model, batch_size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Make a batch: uint8 images, and float32 labels of all classes in turn."""
    shape = (batch_size, *model.input_shape[1:])
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    units = model.output_shape[-1]
    classes = np.arange(batch_size) % max(2, units)
    labels = np.eye(units)[classes] if units > 1 else classes[:, None]
    return tf.constant(images), tf.constant(labels, tf.float32)


def _training_durations(
    model: keras.Model,
    images: tf.Tensor,
    labels: tf.Tensor,
    num_steps: int,
    **fit_settings: Any,
) -> list[float]:
    """Time the steps of `fit`, in seconds; the first compiles and is left out."""
    ends: list[float] = []

    def note(_batch: int, logs: object) -> None:
        del logs  # Keras passes it by name
        ends.append(time.perf_counter())

    watch = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    batches = tf.data.Dataset.from_tensors((images, labels))
    fit(
        model,
        batches,
        epochs=1,
        steps_per_epoch=num_steps + 1,
        callbacks=[watch],
        verbose=0,
        **fit_settings,
    )
    return [end - start for start, end in itertools.pairwise(ends)]


def _prediction_durations(model: keras.Model, images: tf.Tensor, num_steps: int) -> list[float]:
    """Time predictions of one batch, in seconds; the first compiles and is left out."""
    predict = tf.function(
        lambda pixels: model(pixels, training=False), autograph=False, jit_compile=False
    )
    durations = []
    for _ in range(num_steps + 1):
        start = time.perf_counter()
        predict(images).numpy()
        durations.append(time.perf_counter() - start)
    return durations[1:]
