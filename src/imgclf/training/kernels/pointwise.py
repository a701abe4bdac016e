"""Convolutions with kernels of one pixel as matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import keras
import tensorflow as tf

from imgclf.machine.devices import has_gpu
from imgclf.training.kernels.substitution import substituted_calls

__all__ = ["pointwise_products"]


@contextmanager
def pointwise_products(model: keras.Model) -> Iterator[None]:
    """Compute the 1 x 1 convolutions of a network as matrix products on CPUs.

    On exit they are Keras' own again. The products are the same; oneDNN's kernels for matrices
    reach 1.1 to 2 times the operations per second of those for such convolutions, above all for
    the gradient by the kernel. See ``docs/performance.md`` for figures.

    Args:
        model: A built network. Subclasses of Keras' layer stay as they are.
    """
    with nullcontext() if has_gpu() else substituted_calls(model, _call, _is_pointwise):
        yield


def _is_pointwise(layer: keras.layers.Layer) -> bool:
    """Whether a layer multiplies each pixel's channels by one matrix; channels last."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.built
        and layer.kernel_size == layer.strides == layer.dilation_rate == (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )


def _call(layer: keras.layers.Conv2D, inputs: tf.Tensor) -> tf.Tensor:
    """Compute what Keras' `Conv2D.call` does; ``(batch, height, width, channels)``."""
    kernel = tf.convert_to_tensor(layer.kernel)
    pixels = tf.reshape(inputs, (-1, kernel.shape[2]))
    outputs = tf.matmul(pixels, kernel[0, 0])
    if layer.use_bias:
        outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(layer.bias))
    shape = tf.concat([tf.shape(inputs)[:-1], [layer.filters]], axis=0)
    outputs = tf.reshape(outputs, shape)
    outputs.set_shape((*inputs.shape[:-1], layer.filters))
    return outputs if layer.activation is None else layer.activation(outputs)
