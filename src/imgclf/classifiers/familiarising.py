"""What a bundle keeps to recognise images unlike its training images, learned after training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.familiarity import Familiarity, fit_familiarity
from imgclf.data.batches.dataset import Batches

__all__ = ["learn_familiarity"]

MOST_IMAGES = 10_000
"""Training images that are looked at; of more, evenly chosen ones."""


def learn_familiarity(classifier: Classifier, train: Batches, val: Batches) -> Familiarity | None:
    """Look at plain training images, and at validation images for what is usual.

    Args:
        classifier: The trained classifier.
        train: What it was trained on.
        val: Images that it did not learn from.

    Returns:
        What `Classifier.familiarity` takes; None where the network gives nothing to go by.
    """
    every = -(-train.num_samples // MOST_IMAGES)
    return fit_familiarity(
        classifier.features(_every(train, every)),
        train.labels[::every],
        classifier.features(val.pixels()),
        train.num_classes,
    )


def _every(batches: Batches, step: int) -> Iterator[NDArray[np.uint8]]:
    """Yield each `step`-th image, a batch at a time."""
    first = 0
    for pixels in batches.pixels():
        yield pixels[-first % step :: step]
        first += len(pixels)
