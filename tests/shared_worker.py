"""Trains alone or as one of several workers; the tests start it: ADDRESSES INDEX DIR RESULT."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np

IMAGES = {"image_size": 24, "batch_size": 13, "augment": "light", "seed": 3}
FIT = {"epochs": 3, "optimizer": "sgd", "learning_rate": 0.01, "precision": "float32"}
"""21 steps with 100 images."""


def small_network(input_shape: tuple[int, int, int]) -> Any:
    """Return a network of two convolutions with batch normalisation, for two classes."""
    keras.utils.set_random_seed(1)
    image = keras.Input(input_shape, dtype="uint8")
    features = keras.layers.Rescaling(1 / 255)(image)
    for filters in (8, 16):
        features = keras.layers.Conv2D(filters, 3)(features)
        features = keras.layers.BatchNormalization()(features)
        features = keras.layers.MaxPooling2D()(keras.layers.ReLU()(features))
    features = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(features))


def train_small(directory: str, result: str, addresses: list[str], index: int) -> None:
    """Take some steps of SGD; write weights and figures."""
    import imgclf
    from imgclf.training.shared_steps import shared_steps
    from imgclf.training.workers import join_workers

    workers = join_workers(addresses, index) if addresses else None
    train, val = imgclf.make_generators(directory, **IMAGES)  # type: ignore[arg-type]
    model = small_network(train.input_shape)
    if workers is not None:
        train, val = (one.share(index, workers.count) for one in (train, val))
    with shared_steps(model, workers) if workers else nullcontext() as course:
        given = [course] if course is not None else []
        fitted = imgclf.fit(model, train, val, callbacks=given, **FIT)  # type: ignore[arg-type]
    figures = {f"figure/{name}": values for name, values in fitted.history.items()}
    weights = {f"weight/{place}": value for place, value in enumerate(model.get_weights())}
    np.savez(result, **figures, **weights)


if __name__ == "__main__":
    train_small(sys.argv[3], sys.argv[4], sys.argv[1].split(","), int(sys.argv[2]))
