"""GELU compiled into one kernel."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import tensorflow as tf

from imgclf.machine.devices import has_gpu, num_replicas
from imgclf.training.kernels.substitution import substituted_calls

__all__ = ["FEWEST_STEPS", "fused_gelu"]

_logger = logging.getLogger(__name__)

FEWEST_STEPS = 200
"""Compiling each layer for each batch size takes as long as a few dozen steps."""


@contextmanager
def fused_gelu(model: keras.Model, num_steps: float | None) -> Iterator[None]:
    """Compute the GELUs of a network by compiled kernels on CPUs; on exit they are Keras' own.

    TensorFlow computes GELU and its gradient in some twenty operations, each of which reads and
    writes all values. XLA compiles either into one kernel; see ``docs/performance.md`` for
    figures. The results differ in the last digit of float32.

    Args:
        model: A built network. `keras.layers.Activation` layers with exact GELU are replaced.
        num_steps: Steps of the training, None if unknown; compiling pays off from 200 on.
    """
    worth_it = (
        num_steps is not None
        and num_steps >= FEWEST_STEPS
        and num_replicas() == 1
        and not has_gpu()  # XLA compiles the whole step there
    )
    with substituted_calls(model, _call, _is_exact_gelu) if worth_it else nullcontext():
        yield


def _is_exact_gelu(layer: keras.layers.Layer) -> bool:
    """Whether a layer is exact GELU and nothing else, and can be compiled."""
    return (
        type(layer) is keras.layers.Activation
        and layer.activation is keras.activations.gelu
        and _has_compiler()
    )


@functools.cache
def _has_compiler() -> bool:
    """Whether this TensorFlow can compile for the CPU; some builds have no XLA."""
    try:
        _forward(tf.zeros(1))
    except tf.errors.OpError as error:
        _logger.info("GELU stays TensorFlow's own, XLA does not compile it: %s", error.message)
        return False
    return True


def _call(_layer: keras.layers.Activation, inputs: tf.Tensor) -> tf.Tensor:
    """Compute what Keras' `Activation.call` does."""
    return _gelu(inputs)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _gelu(inputs: tf.Tensor) -> tuple[tf.Tensor, Any]:
    return _forward(inputs), functools.partial(_backward, inputs)


@tf.function(jit_compile=True, reduce_retracing=True, autograph=False)  # type: ignore[untyped-decorator]
def _forward(inputs: tf.Tensor) -> tf.Tensor:
    values = tf.cast(inputs, tf.float32)
    return tf.cast(values * _probability(values), inputs.dtype)


@tf.function(jit_compile=True, reduce_retracing=True, autograph=False)  # type: ignore[untyped-decorator]
def _backward(inputs: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    values = tf.cast(inputs, tf.float32)
    density = tf.exp(-0.5 * values * values) / math.sqrt(2 * math.pi)
    slope = _probability(values) + values * density
    return tf.cast(tf.cast(upstream, tf.float32) * slope, inputs.dtype)


def _probability(values: tf.Tensor) -> tf.Tensor:
    """Return the cumulative distribution function of the standard normal distribution."""
    return 0.5 * tf.math.erfc(-math.sqrt(0.5) * values)
