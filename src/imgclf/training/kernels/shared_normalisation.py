"""Batch normalisation over the images of all workers."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from imgclf.errors import ArgumentError
from imgclf.training.kernels.substitution import substituted_calls
from imgclf.training.workers import Workers

__all__ = ["shared_normalisation"]


@contextmanager
def shared_normalisation(model: keras.Model, workers: Workers) -> Iterator[None]:
    """Normalise by mean and variance of the whole batch, not of a worker's part of it.

    A network then learns as from the same batches on one machine. It costs two numbers a channel
    over the network, in both directions, for each layer and step.

    Args:
        model: A built network.
        workers: Those that share each batch.

    Raises:
        ArgumentError: A layer normalises in a way of its own; the message names it.
    """
    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - reaches nested ones
        if isinstance(layer, keras.layers.BatchNormalization) and not _is_plain(layer):
            raise ArgumentError(
                f"The layer {layer.name!r} ({type(layer).__name__}) computes statistics of its "
                "batch in a way of its own, which several workers cannot share: train on one "
                "machine, or use keras.layers.BatchNormalization without renorm."
            )
    with substituted_calls(model, functools.partial(_call, workers), _is_plain):
        yield


def _is_plain(layer: keras.layers.Layer) -> bool:
    return type(layer) is keras.layers.BatchNormalization and not layer.renorm


def _call(
    workers: Workers,
    layer: keras.layers.BatchNormalization,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Compute what Keras' `BatchNormalization.call` does on the batch of all workers."""
    if not (training and layer.trainable) or mask is not None:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    values = tf.cast(inputs, tf.float32)
    axis = layer.axis % len(inputs.shape)
    others = [one for one in range(len(inputs.shape)) if one != axis]
    mean, variance = _shared_moments(workers, values, others)
    for average, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        average.assign(average * layer.momentum + value * (1.0 - layer.momentum))
    shape = [1] * len(inputs.shape)
    shape[axis] = inputs.shape[axis]
    scale = tf.math.rsqrt(variance + layer.epsilon)
    if layer.scale:
        scale *= tf.convert_to_tensor(layer.gamma)
    offset = -mean * scale
    if layer.center:
        offset += tf.convert_to_tensor(layer.beta)
    outputs = values * tf.reshape(scale, shape) + tf.reshape(offset, shape)
    return tf.cast(outputs, layer.compute_dtype)


def _shared_moments(
    workers: Workers, values: tf.Tensor, axes: list[int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mean and variance over all workers, each ``(channels,)``, in one exchange.

    The variance is put together from each worker's own (Chan et al. 1983): a difference of mean
    squares would lose the digits of channels whose mean is far from 0.
    """
    own_mean, own_variance = tf.nn.moments(values, axes)
    count = tf.cast(tf.size(values) // tf.size(own_mean), tf.float32)
    own = tf.stack([own_mean, own_variance, tf.fill(tf.shape(own_mean), count)])
    place = tf.one_hot(workers.index, workers.count)[:, None, None]
    means, variances, counts = tf.unstack(workers.sum(place * own[None]), axis=1)
    total = tf.reduce_sum(counts, axis=0)
    mean = tf.reduce_sum(counts * means, axis=0) / total
    spread = counts * (variances + tf.square(means - mean))
    return mean, tf.reduce_sum(spread, axis=0) / total
