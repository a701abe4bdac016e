"""A network that TensorFlow alone can run, for tests."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class _Unconvertible(keras.layers.Layer):
    """Computes what LiteRT has no operation for, or one that runs for a single image only."""

    def __init__(self, function: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.function = function

    def call(self, maps: Any) -> Any:
        return getattr(tf.math, self.function)(maps + 1.0)


def unconvertible(function: str) -> keras.Model:
    """A network from the image to features, with one layer that computes ``tf.math``'s function."""
    image = keras.Input((24, 24, 3), dtype="uint8", name="image")
    maps = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    maps = _Unconvertible(function, name="function")(maps)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pooling")(maps))
