"""Gradients of depthwise convolutions by their kernels."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgclf.machine.devices import has_gpu
from imgclf.training.kernels.substitution import substituted_calls

__all__ = ["depthwise_gradients"]

WIDE_KERNEL = 5
"""Pixels a side from which oneDNN's gradient by the kernel takes several times as long."""

MOST_PIXELS_OF_WIDE, MOST_PIXELS = 64, 9
"""Pixels of a map up to which products of all pairs of pixels are faster than oneDNN."""


@contextmanager
def depthwise_gradients(model: keras.Model) -> Iterator[None]:
    """Compute the gradients of depthwise convolutions faster on CPUs.

    On exit the layers are Keras' own again. On small maps the gradient by the kernel comes from
    a product of matrices for each channel, 1.5 to 5 times as fast as oneDNN's; and gradients are
    computed in float32, since oneDNN takes several times as long in bfloat16. See
    ``docs/performance.md`` for figures.

    Args:
        model: A built network. Subclasses of Keras' layer stay as they are.
    """
    with nullcontext() if has_gpu() else substituted_calls(model, _call, _is_plain):
        yield


def _is_plain(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a depthwise convolution that TensorFlow computes in one operation."""
    return (
        type(layer) is keras.layers.DepthwiseConv2D
        and layer.built
        and layer.depth_multiplier == 1
        and layer.dilation_rate == (1, 1)
        and layer.strides[0] == layer.strides[1]
        and layer.data_format == "channels_last"
    )


def _call(layer: keras.layers.DepthwiseConv2D, inputs: tf.Tensor) -> tf.Tensor:
    """Compute what Keras' `DepthwiseConv2D.call` does; ``(batch, height, width, channels)``."""
    if None in inputs.shape[1:3]:
        return type(layer).call(layer, inputs)
    _, height, width, _ = inputs.shape
    kernel_height, kernel_width = layer.kernel_size
    shape = _Shape(
        height, width, kernel_height, kernel_width, layer.strides[0], layer.padding.upper()
    )
    outputs = _convolve(shape)(inputs, tf.convert_to_tensor(layer.kernel))
    if layer.use_bias:
        outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(layer.bias))
    return outputs if layer.activation is None else layer.activation(outputs)


class _Shape(NamedTuple):
    """What decides which pixels meet: sides in pixels."""

    height: int
    width: int
    kernel_height: int
    kernel_width: int
    stride: int
    padding: str

    @property
    def has_few_pairs(self) -> bool:
        """Whether products of all pairs of pixels are faster than oneDNN."""
        wide = min(self.kernel_height, self.kernel_width) >= WIDE_KERNEL
        return self.height * self.width <= (MOST_PIXELS_OF_WIDE if wide else MOST_PIXELS)


@functools.cache
def _convolve(shape: _Shape) -> Any:
    """Return the convolution of a shape, which knows its gradient."""
    options = {"strides": [1, shape.stride, shape.stride, 1], "padding": shape.padding}

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def convolve(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            values, weights, slopes = (
                tf.cast(one, tf.float32) for one in (inputs, kernel, upstream)
            )
            by_inputs = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(values), filter=weights, out_backprop=slopes, **options
            )
            if shape.has_few_pairs:
                by_kernel = _from_pairs(values, slopes, shape)
            else:
                by_kernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                    input=values, filter_sizes=kernel.shape, out_backprop=slopes, **options
                )
            return tf.cast(by_inputs, inputs.dtype), tf.cast(by_kernel, kernel.dtype)

        return tf.nn.depthwise_conv2d(inputs, kernel, **options), gradient

    return convolve


def _from_pairs(values: tf.Tensor, slopes: tf.Tensor, shape: _Shape) -> tf.Tensor:
    """Return the gradient by the kernel; ``(height, width, channels, 1)``.

    Each weight of the kernel is met by some pairs of a pixel of the output and one of the input.
    """
    channels = values.shape[-1]
    pairs = _pairs(shape)
    outputs, inputs, _ = pairs.shape
    by_channel = tf.matmul(
        tf.transpose(tf.reshape(slopes, (-1, outputs, channels)), (2, 1, 0)),
        tf.transpose(tf.reshape(values, (-1, inputs, channels)), (2, 0, 1)),
    )
    by_weight = tf.matmul(
        pairs.reshape(outputs * inputs, -1),
        tf.reshape(by_channel, (channels, -1)),
        transpose_a=True,
        transpose_b=True,
    )
    return tf.reshape(by_weight, (shape.kernel_height, shape.kernel_width, channels, 1))


@functools.cache
def _pairs(shape: _Shape) -> NDArray[np.float32]:
    """Return which weight joins which pixels; 0 or 1, ``(outputs, inputs, weights)``."""
    rows = _pairs_of_side(shape.height, shape.kernel_height, shape)
    columns = _pairs_of_side(shape.width, shape.kernel_width, shape)
    joined: NDArray[np.float32] = np.einsum("abi,cdj->acbdij", rows, columns)
    outputs, inputs, weights = (rows.shape[axis] * columns.shape[axis] for axis in range(3))
    return joined.reshape(outputs, inputs, weights)


def _pairs_of_side(pixels: int, kernel: int, shape: _Shape) -> NDArray[np.float32]:
    """Do so for rows, or columns, alone; TensorFlow pads by one less before than after."""
    if shape.padding == "SAME":
        outputs = -(-pixels // shape.stride)
        before = max((outputs - 1) * shape.stride + kernel - pixels, 0) // 2
    else:
        outputs, before = (pixels - kernel) // shape.stride + 1, 0
    place = np.arange(pixels) - np.arange(outputs)[:, None] * shape.stride + before
    met: NDArray[np.bool_] = place[..., None] == np.arange(kernel)
    return met.astype(np.float32)
