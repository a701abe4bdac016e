"""A Keras network, executed by TensorFlow under the contract of all engines."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgclf.data.pixels.input_policy import DataFormat
from imgclf.engines.contract import require_images
from imgclf.machine.precision import float32_results

__all__ = ["KerasNetwork"]

CHUNK_IMAGES = 32
"""Images that go through the network at a time; fewer are filled up, so that the same image gives
the same figures whatever lies beside it."""


class KerasNetwork:
    """A float32 Keras network; see `imgclf.engines.contract`. Changes of its weights are seen.

    Attributes:
        image_shape: ``(height, width, channels)`` of the images that it reads.

    Args:
        model: A network with one input, uint8 pixels 0..255, and one or several outputs.
        data_format: Order of the axes that it reads.
    """

    def __init__(self, model: keras.Model, *, data_format: DataFormat = "channels_last") -> None:
        self._first = data_format == "channels_first"
        shape = model.input_shape[1:]
        height, width, channels = (*shape[1:], shape[0]) if self._first else shape
        self.image_shape = (int(height), int(width), int(channels))

        def outputs_of(images: tf.Tensor) -> list[tf.Tensor]:
            outputs = model(images, training=False)
            return list(outputs) if isinstance(outputs, list | tuple) else [outputs]

        # Traced here: TensorFlow warns of functions that are traced again and again when called.
        self._call = tf.function(
            outputs_of, autograph=False, jit_compile=False
        ).get_concrete_function(tf.TensorSpec((None, *shape), tf.uint8))

    def __call__(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run images through the network; see `imgclf.engines.contract.Network`."""
        require_images(images, self.image_shape)
        if not len(images):
            return [rows[:0] for rows in self(np.zeros((1, *self.image_shape), np.uint8))]
        with float32_results():
            chunks = [
                self._run(images[first : first + CHUNK_IMAGES])
                for first in range(0, len(images), CHUNK_IMAGES)
            ]
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]

    def _run(self, chunk: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        count = len(chunk)
        if count < CHUNK_IMAGES:
            padding = np.zeros((CHUNK_IMAGES - count, *chunk.shape[1:]), np.uint8)
            chunk = np.concatenate([chunk, padding])
        if self._first:
            chunk = chunk.transpose(0, 3, 1, 2)
        return [output.numpy()[:count] for output in self._call(tf.constant(chunk))]
