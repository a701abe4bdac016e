"""Tiny architectures that can begin with weights from a file, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np

from imgclf.options import Float, Weights


def tiny(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.0,
    weights: Annotated[str, Weights()] = "none",
) -> keras.Model:
    """Two convolutions with batch normalisation, and a hidden layer behind the pooling."""
    image, vector = _pooled(input_shape, dropout, weights)
    vector = keras.layers.Dense(8, activation="relu", name="hidden")(vector)
    return _with_head(image, vector, num_classes)


def tiny_and_linear(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.0,
    weights: Annotated[str, Weights()] = "none",
) -> keras.Model:
    """The same without the hidden layer: what is behind the pooling is solved, not trained."""
    return _with_head(*_pooled(input_shape, dropout, weights), num_classes)


def _pooled(input_shape: tuple[int, int, int], dropout: float, weights: str) -> tuple[Any, Any]:
    """Return the image and the features behind the pooling."""
    if weights == "imagenet":
        raise AssertionError("fetched")
    image = keras.Input(input_shape, dtype="uint8", name="image")
    features = keras.layers.Rescaling(1 / 127.5, -1.0, name="rescaling")(image)
    for number, filters in enumerate((8, 16), start=1):
        features = keras.layers.Conv2D(filters, 3, strides=2, name=f"conv{number}")(features)
        features = keras.layers.BatchNormalization(name=f"norm{number}")(features)
        features = keras.layers.Activation("relu", name=f"activation{number}")(features)
    if weights != "none":
        if not Path(weights).exists():
            raise AssertionError("read")
        keras.Model(image, features).load_weights(weights)
    vector = keras.layers.GlobalAveragePooling2D(name="pooling")(features)
    return image, keras.layers.Dropout(dropout, name="dropout")(vector)


def _with_head(image: Any, vector: Any, num_classes: int) -> keras.Model:
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    return keras.Model(image, keras.layers.Dense(units, activation=activation, name="head")(vector))


def settle_averages(model: keras.Model, images: np.ndarray) -> None:
    """Give batch normalisation the averages of some images, as a training would."""
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def save_tiny_weights(path: Path) -> Path:
    """Write weights of `tiny`'s backbone, with averages of noise, to a `.weights.h5` file."""
    model = tiny((24, 24, 3), 2)
    noise = np.random.default_rng(3).integers(0, 256, (32, 24, 24, 3), np.uint8)
    settle_averages(model, noise)
    keras.Model(model.inputs[0], model.get_layer("activation2").output).save_weights(path)
    return path
