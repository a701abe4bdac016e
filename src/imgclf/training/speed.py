"""How fast a network trains and predicts on this machine."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from imgclf.training.loop import fit

__all__ = ["Speed", "measure_speed", "mega_flop"]


@dataclass(frozen=True, slots=True)
class Speed:
    """Images per second of the fastest step: what else the machine does counts least there.

    Attributes:
        train_images_per_s: Of training steps, in the precision that `imgclf.fit` chooses.
        predict_images_per_s: Of prediction, in float32.
    """

    train_images_per_s: float
    predict_images_per_s: float


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
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch_size, *model.input_shape[1:]), np.uint8)
    units = model.output_shape[-1]
    classes = np.arange(batch_size) % max(2, units)
    labels = np.eye(units)[classes] if units > 1 else classes[:, None]
    batches = tf.data.Dataset.from_tensors((images, labels.astype(np.float32)))
    training = _training_durations(model, batches, num_steps)
    prediction = _prediction_durations(model, tf.constant(images), num_steps)
    return Speed(batch_size / min(training), batch_size / min(prediction))


def mega_flop(model: keras.Model) -> float | None:
    """Count additions and multiplications of one image's convolutions and dense layers.

    Each weight of a kernel is multiplied and added once per position of the layer's output.

    Args:
        model: What `imgclf.build_model` returned.

    Returns:
        Millions of operations; None where layers inside do not know the size of their maps, as in
        KerasHub's backbones.
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


def _training_durations(
    model: keras.Model, batches: tf.data.Dataset, num_steps: int
) -> list[float]:
    """Time the steps of `fit`, in seconds; the first compiles and is left out."""
    ends: list[float] = []

    def note(_batch: int, logs: object) -> None:
        del logs  # Keras passes it by name
        ends.append(time.perf_counter())

    watch = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    fit(model, batches, epochs=1, steps_per_epoch=num_steps + 1, callbacks=[watch])
    return [end - start for start, end in itertools.pairwise(ends)]


def _prediction_durations(model: keras.Model, images: tf.Tensor, num_steps: int) -> list[float]:
    """Time predictions of one batch, in seconds; the first compiles and is left out."""
    predict = tf.function(lambda pixels: model(pixels, training=False), jit_compile=False)
    durations = []
    for _ in range(num_steps + 1):
        start = time.perf_counter()
        predict(images).numpy()
        durations.append(time.perf_counter() - start)
    return durations[1:]
