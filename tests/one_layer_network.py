"""A small network around the layer that is put to the test, and three steps of its training."""

from __future__ import annotations

from contextlib import AbstractContextManager

import keras
import numpy as np


def network_around(*layers: keras.layers.Layer) -> keras.Model:
    """Build a network of one convolution and the layers, always with the same first weights."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 6, 3), name="image")
    features = keras.layers.Conv2D(5, 3, name="conv")(image)
    for layer in layers:
        features = layer(features)
    features = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax", name="head")(features))


def train_three_steps(
    model: keras.Model, exchanged: AbstractContextManager[None]
) -> list[np.ndarray]:
    """Make three steps, the last on a smaller batch; returns all weights."""
    rng = np.random.default_rng(1)
    images = rng.normal(3, 2, (20, 8, 6, 3)).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 20)]
    model.compile(keras.optimizers.SGD(0.5), "categorical_crossentropy", jit_compile=False)
    with exchanged:
        model.fit(images, labels, batch_size=8, shuffle=False, verbose=0)
    return model.get_weights()
