"""From pixels to probabilities by Keras: for networks in training, and where LiteRT cannot run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgclf.classifiers.answers import Engine, FeatureWatch, all_classes
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.engines.features import feature_tensors
from imgclf.errors import EngineError, in_one_line
from imgclf.machine.forked import require_own_threads
from imgclf.machine.precision import float32_results
from imgclf.machine.startup import without_retracing_notes
from imgclf.zoo.activations import activation_bytes

__all__ = ["make_engine"]

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
        autograph=False,
        jit_compile=False,
    )

    def run(
        batches: Iterable[NDArray[np.uint8]], watch: FeatureWatch | None = None
    ) -> NDArray[np.float64]:
        require_own_threads()
        outputs = []
        with float32_results(), without_retracing_notes():
            for chunk in _rechunk(batches, chunk_images):
                try:
                    output, *features = _run_chunk(call, chunk, policy)
                except tf.errors.OpError as error:
                    raise EngineError(
                        f"TensorFlow stopped at {len(chunk)} images ({in_one_line(error)}): free "
                        "some memory, or take smaller images."
                    ) from error
                outputs.append(output.numpy()[: len(chunk)])
                if watch is not None:
                    watch([values.numpy()[: len(chunk)] for values in features])
        if not outputs:
            return np.zeros((0, max(2, model.output_shape[-1])))
        return all_classes(np.concatenate(outputs))

    sizes = tuple(int(tensor.shape[-1]) for tensor in network.outputs[1:])
    return _KerasEngine(run, sizes)


@dataclass(frozen=True, slots=True, eq=False)
class _KerasEngine:
    """The engine that `make_engine` made."""

    run: Callable[[Iterable[NDArray[np.uint8]], FeatureWatch | None], NDArray[np.float64]]
    feature_sizes: tuple[int, ...]

    @property
    def name(self) -> str:
        """Which engine it is."""
        return "keras"

    def __call__(
        self, batches: Iterable[NDArray[np.uint8]], watch: FeatureWatch | None = None
    ) -> NDArray[np.float64]:
        """Return ``(num_images, num_classes)``; `watch` sees the features of the same pass."""
        return self.run(batches, watch)


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
