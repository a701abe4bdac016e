"""Predictions that several test files measure."""

from __future__ import annotations

import numpy as np
import pytest

NUM_CLASSES = [2, 3, 5, 10, 37, 100]

every_number_of_classes = pytest.mark.parametrize("num_classes", NUM_CLASSES)
with_and_without_ties = pytest.mark.parametrize("decimals", [None, 0])


def make_predictions(
    num_classes: int, *, num_images: int = 1500, decimals: int | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Make labels and somewhat informed probabilities; rounding them makes ties."""
    random = np.random.default_rng([seed, num_classes])
    labels = np.append(np.arange(num_classes), random.integers(0, num_classes, num_images))
    logits = random.normal(size=(labels.size, num_classes)) * 2.0
    logits[np.arange(labels.size), labels] += 1.5
    if decimals is not None:
        # Equal logits give equal probabilities whose rows still sum to 1.
        logits = logits.round(decimals)
    probabilities = np.exp(logits)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)
