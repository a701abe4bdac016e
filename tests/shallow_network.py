"""A network that is soon compiled, for tests of what training does to any network."""

from __future__ import annotations

from typing import Annotated

import keras

from imgclf.options import Float


def shallow(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.0,
) -> keras.Model:
    """One convolution, its average over the image, and the head."""
    image = keras.Input(input_shape, dtype="uint8", name="image")
    maps = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    maps = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(maps)
    features = keras.layers.GlobalAveragePooling2D(name="pooling")(maps)
    if dropout:
        features = keras.layers.Dropout(dropout, name="dropout")(features)
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    return keras.Model(
        image, keras.layers.Dense(units, activation=activation, name="head")(features)
    )
