"""Several copies of a network, so that as many requests are computed at a time."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from imgclf.classifiers.answers import Engine, FeatureWatch, LiteRtEngine
from imgclf.classifiers.classifier import Classifier
from imgclf.engines.litert import LiteRtNetwork

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgclf.classifiers.record import ClassifierRecord

__all__ = ["EnginePool", "with_parallel_answers"]


class EnginePool:
    """Engines of the same network; a call takes one that is free, or waits for it.

    Two networks of one thread each answer a quarter more requests than one of two threads.

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


def with_parallel_answers(record: ClassifierRecord, concurrency: int) -> Classifier:
    """Return a classifier that answers several requests at a time, each on one processor.

    Args:
        record: Of a classifier for which LiteRT answers.
        concurrency: How many.

    Returns:
        The classifier; its answers are the same.
    """
    assert record.converted is not None, "what LiteRT answers for has a network for it"
    content = record.converted.content
    return Classifier.of(
        record,
        EnginePool(
            [LiteRtEngine(LiteRtNetwork(content, num_threads=1)) for _ in range(concurrency)]
        ),
    )
