"""Batch normalisation in one fused kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from imgclf.training.kernels.substitution import substituted_calls

__all__ = ["fused_normalisation"]


@contextmanager
def fused_normalisation(model: keras.Model) -> Iterator[None]:
    """Train the batch normalisations of a network with a fused kernel; on exit they are Keras' own.

    Keras computes a training step of batch normalisation in a dozen operations, each of which
    reads and writes all values. TensorFlow's fused kernel computes the same, with its gradient, in
    a third of the time; see ``docs/performance.md`` for figures. Inference stays Keras' own.

    Args:
        model: A built network. Subclasses of Keras' layer stay as they are.
    """
    with substituted_calls(model, _call, _can_be_fused):
        yield


def _can_be_fused(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a plain batch normalisation of maps, channels last."""
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.built
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and not (layer.synchronized or layer.renorm)
    )


def _call(
    layer: keras.layers.BatchNormalization,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Compute what Keras' `BatchNormalization.call` does; ``(batch, height, width, channels)``."""
    if not (training and layer.trainable) or mask is not None:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    channels = inputs.shape[-1]
    gamma = layer.gamma if layer.scale else tf.ones(channels)
    beta = layer.beta if layer.center else tf.zeros(channels)
    outputs, mean, unbiased = tf.compat.v1.nn.fused_batch_norm(
        inputs,
        tf.convert_to_tensor(gamma),
        tf.convert_to_tensor(beta),
        epsilon=layer.epsilon,
        is_training=True,
    )
    # The kernel gives the unbiased variance (n - 1), Keras keeps the biased one (n).
    count = tf.cast(tf.size(inputs) // channels, tf.float32)
    variance = unbiased * ((count - 1) / count)
    for average, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        average.assign(average * layer.momentum + value * (1.0 - layer.momentum))
    return tf.cast(outputs, layer.compute_dtype)
