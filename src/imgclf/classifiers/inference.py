"""The one road from pixels to probabilities; every figure that imgclf prints comes along it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgclf.classifiers.features import feature_tensors
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.machine.precision import float32_results
from imgclf.machine.startup import without_retracing_notes
from imgclf.zoo.activations import activation_bytes

__all__ = ["Engine", "FeatureWatch", "all_classes", "make_engine"]

FeatureWatch = Callable[[list[NDArray[np.float32]]], None]
"""Is told a chunk's features: ``(batch, features)`` of each of `feature_tensors`, maps averaged."""


class Engine(Protocol):
    """Turns batches of ``(batch, height, width, channels)`` uint8 pixels into probabilities."""

    def __call__(
        self, batches: Iterable[NDArray[np.uint8]], watch: FeatureWatch | None = None
    ) -> NDArray[np.float64]:
        """Return ``(num_images, num_classes)``; `watch` sees the features of the same pass."""


CHUNK_IMAGES = 32
"""Images that go through the network at a time, whatever the size of the batches that come in."""

CHUNK_BYTES = 96 * 1024**2
"""Most that a layer's output may take for them: fewer images that are as fast take less memory."""


def make_engine(model: keras.Model, policy: InputPolicy, *, mirrored: bool = False) -> Engine:
    """Make the function that turns pixels into probabilities.

    Images are regrouped into chunks of one size, so that the same image gives the same figures
    whatever lies beside it; XLA and TF32 stay off.

    Args:
        model: A float32 network; later changes of its weights are seen.
        policy: Gives the order of the axes that it reads.
        mirrored: Whether the probabilities are the mean over each image and its mirror image;
            features are those of the image itself.

    Returns:
        The engine.
    """
    # One graph whether features are wanted or not: the same image gives the same figures.
    network = keras.Model(model.inputs[0], [model.outputs[0], *feature_tensors(model)])
    chunk_images = _chunk_images(network)
    width_axis = 3 if policy.data_format == "channels_first" else 2

    def outputs_of(images: tf.Tensor) -> list[tf.Tensor]:
        outputs = _with_pooled_features(network(images, training=False))
        if mirrored:
            other = model(tf.reverse(images, [width_axis]), training=False)
            outputs[0] = (outputs[0] + other) / 2
        return outputs

    call = tf.function(
        outputs_of,
        input_signature=[tf.TensorSpec((None, *policy.input_shape), tf.uint8)],
        jit_compile=False,
    )

    def run(
        batches: Iterable[NDArray[np.uint8]], watch: FeatureWatch | None = None
    ) -> NDArray[np.float64]:
        outputs = []
        with float32_results(), without_retracing_notes():
            for chunk in _rechunk(batches, chunk_images):
                output, *features = _run_chunk(call, chunk, policy)
                outputs.append(output.numpy()[: len(chunk)])
                if watch is not None:
                    watch([values.numpy()[: len(chunk)] for values in features])
        if not outputs:
            return np.zeros((0, max(2, model.output_shape[-1])))
        return all_classes(np.concatenate(outputs))

    return run


def _with_pooled_features(outputs: list[tf.Tensor]) -> list[tf.Tensor]:
    """Average maps ``(batch, height, width, features)`` over their places."""
    return [
        tf.reduce_mean(output, axis=(1, 2)) if output.shape.rank == 4 else output
        for output in outputs
    ]


def _run_chunk(
    call: Callable[[tf.Tensor], list[tf.Tensor]], chunk: NDArray[np.uint8], policy: InputPolicy
) -> list[tf.Tensor]:
    """Run one chunk, filled up to a power of two: few sizes, few plans for the processor."""
    count = len(chunk)
    padding = (1 << (count - 1).bit_length()) - count
    if padding:
        chunk = np.concatenate([chunk, np.zeros((padding, *chunk.shape[1:]), np.uint8)])
    if policy.data_format == "channels_first":
        chunk = chunk.transpose(0, 3, 1, 2)
    return call(tf.constant(chunk))


def _chunk_images(network: keras.Model) -> int:
    """Return how many images go through a network at a time: a power of two."""
    most = max(1, min(CHUNK_IMAGES, CHUNK_BYTES // max(1, activation_bytes(network))))
    return 1 << (most.bit_length() - 1)


def _rechunk(batches: Iterable[NDArray[np.uint8]], size: int) -> Iterator[NDArray[np.uint8]]:
    """Regroup images into chunks of one size; the last may be smaller."""
    waiting: list[NDArray[np.uint8]] = []
    for batch in batches:
        waiting.extend(batch)
        while len(waiting) >= size:
            yield np.stack(waiting[:size])
            del waiting[:size]
    if waiting:
        yield np.stack(waiting)


def all_classes(outputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return one column per class; the one sigmoid of two classes is that of the second.

    Args:
        outputs: float32 ``(num_images, 1)`` of a sigmoid, or ``(num_images, num_classes)``.

    Returns:
        float64 ``(num_images, num_classes)``, rows sum to 1.
    """
    probabilities = outputs.astype(np.float64)
    if probabilities.shape[1] == 1:
        return np.concatenate([1 - probabilities, probabilities], axis=1)
    # Rows of a float32 softmax sum to 1 within 1e-6 only.
    return probabilities / probabilities.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
