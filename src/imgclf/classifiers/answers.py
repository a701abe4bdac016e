"""From pixels to probabilities, whatever executes the network."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.engines.contract import AnswerNetwork

__all__ = ["Engine", "EnginePool", "FeatureWatch", "NetworkEngine", "all_classes"]

FeatureWatch = Callable[[list["NDArray[np.float32]"]], None]
"""Is told a chunk's features: ``(batch, features)`` of each of `feature_tensors`, maps averaged."""


class Engine(Protocol):
    """Turns batches of ``(batch, height, width, channels)`` uint8 pixels into probabilities.

    Attributes:
        name: ``"litert"``, ``"keras"``, ``"onnx"`` or ``"openvino"``.
        feature_sizes: Number of features of each array that a watch is told.
    """

    @property
    def name(self) -> str:
        """Which engine it is."""

    @property
    def feature_sizes(self) -> tuple[int, ...]:
        """Number of features of each array that a watch is told."""

    def __call__(
        self, batches: Iterable[NDArray[np.uint8]], watch: FeatureWatch | None = None
    ) -> NDArray[np.float64]:
        """Return ``(num_images, num_classes)``; `watch` sees the features of the same pass."""


@dataclass(frozen=True, slots=True, eq=False)
class NetworkEngine:
    """Answers by a converted network, without TensorFlow.

    Attributes:
        network: Its outputs are the probabilities, then the pooled features, as
            `imgclf.classifiers.answer_network` makes it.
        name: Which engine it is.
    """

    network: AnswerNetwork
    name: str = "litert"

    @property
    def feature_sizes(self) -> tuple[int, ...]:
        """Number of features of each array that a watch is told."""
        return self.network.output_sizes[1:]

    def __call__(
        self, batches: Iterable[NDArray[np.uint8]], watch: FeatureWatch | None = None
    ) -> NDArray[np.float64]:
        """Return ``(num_images, num_classes)``; `watch` sees the features of the same pass."""
        chunks = [np.zeros((0, self.network.output_sizes[0]), np.float32)]
        for batch in batches:
            if not len(batch):
                continue
            outputs, *features = self.network(batch)
            chunks.append(outputs)
            if watch is not None:
                watch(features)
        return all_classes(np.concatenate(chunks))


class EnginePool:
    """Engines of the same network; a call takes one that is free, or waits for it.

    Two networks of one thread each answer a quarter more calls than one of two threads.

    Args:
        engines: At least one.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.name = engines[0].name
        self.feature_sizes = engines[0].feature_sizes
        # The last one used comes first: its memory is in the processor's cache.
        self._free: queue.LifoQueue[Engine] = queue.LifoQueue()
        for engine in engines:
            self._free.put(engine)

    def __call__(
        self, batches: Iterable[NDArray[np.uint8]], watch: FeatureWatch | None = None
    ) -> NDArray[np.float64]:
        """Return ``(num_images, num_classes)``; `watch` sees the features of the same pass."""
        engine = self._free.get()
        try:
            return engine(batches, watch)
        finally:
            self._free.put(engine)


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
