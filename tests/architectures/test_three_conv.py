"""The promises of the recipe's network and of its one-hidden-layer sibling."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import imgclf
from imgclf.errors import ArgumentError

PIXELS = np.random.default_rng(3).integers(0, 256, (2, 32, 32, 3), np.uint8)


def textbook(pooling: str, activation: str, num_hidden: int) -> keras.Model:
    """Write the network as a textbook does: convolution with activation, then pooling."""
    pool = {"max": keras.layers.MaxPooling2D, "avg": keras.layers.AveragePooling2D}[pooling]
    blocks: list[Any] = []
    for filters in (8, 8, 16):
        blocks += [keras.layers.Conv2D(filters, 3, activation=activation), pool(2)]
    hidden = [keras.layers.Dense(12, activation=activation) for _ in range(num_hidden)]
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            *blocks,
            keras.layers.Flatten(),
            *hidden,
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.mark.parametrize(
    ("name", "num_hidden", "pooling", "activation"),
    [
        ("three_conv", 2, "max", "relu"),
        ("three_conv", 2, "max", "sigmoid"),
        ("three_conv", 2, "max", "gelu"),
        ("three_conv", 2, "avg", "relu"),
        ("one_hidden", 1, "max", "relu"),
        ("one_hidden", 1, "avg", "gelu"),
    ],
)
def test_the_function_is_that_of_the_textbook(
    name: str, num_hidden: int, pooling: str, activation: str
) -> None:
    """Whatever the order of pooling and activation, the outputs are those of the usual order."""
    ours = imgclf.build_model(
        name, (32, 32, 3), 3, filters=8, hidden_units=12, pooling=pooling, activation=activation
    )
    usual = textbook(pooling, activation, num_hidden)
    for index, weight in enumerate(ours.weights):  # biases too must not be zero everywhere
        weight.assign(weight + 0.01 * (index % 3 - 1))
    usual.set_weights(ours.get_weights())
    np.testing.assert_allclose(
        np.asarray(ours(PIXELS)), np.asarray(usual(PIXELS.astype("float32"))), atol=1e-6
    )


def test_the_layers_are_the_recipes() -> None:
    """Three blocks of 32, 32 and 64 filters, flattened, two hidden layers, dropout, head."""
    model = imgclf.build_model("three_conv", (150, 150, 3))
    assert [layer.name for layer in model.layers] == [
        "image", "rescaling",
        "block1_conv", "block1_pooling", "block1_activation",
        "block2_conv", "block2_pooling", "block2_activation",
        "block3_conv", "block3_pooling", "block3_activation",
        "flatten", "hidden_1", "hidden_2", "dropout", "head",
    ]  # fmt: skip
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [32, 32, 64]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert model.get_layer("hidden_1").units == model.get_layer("hidden_2").units == 64
    assert model.get_layer("dropout").rate == 0.5
    # Keras' example of 2016: 17 x 17 x 64 features reach the dense layers from 150 pixels.
    assert model.get_layer("flatten").output.shape == (None, 17 * 17 * 64)


def test_one_hidden_differs_in_one_layer_alone() -> None:
    """`one_hidden` is the same network without the second hidden layer."""
    two = imgclf.build_model("three_conv", (32, 32, 1), filters=8)
    one = imgclf.build_model("one_hidden", (32, 32, 1), filters=8)
    assert [layer.name for layer in one.layers] == [
        layer.name for layer in two.layers if layer.name != "hidden_2"
    ]


@pytest.mark.parametrize("name", ["three_conv", "one_hidden"])
def test_the_smallest_image_is_22_pixels(name: str) -> None:
    """The docstring's smallest size is the one that the error names."""
    imgclf.build_model(name, (22, 22, 1), filters=8)
    with pytest.raises(ArgumentError, match="at least 22 x 22"):
        imgclf.build_model(name, (21, 30, 1), filters=8)
    details = imgclf.describe_architecture(name).details
    assert "from 22 pixels a side" in details
