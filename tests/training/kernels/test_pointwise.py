"""1 x 1 convolutions train as matrix products and compute what Keras' own do."""

from __future__ import annotations

from contextlib import nullcontext

import keras
import numpy as np
import pytest

from imgclf.training.kernels.pointwise import pointwise_products
from one_layer_network import network_around, train_three_steps


def train(*, fast: bool, **settings: object) -> list[np.ndarray]:
    """Make three steps, with the kernel or as Keras computes them; returns all weights."""
    layer = keras.layers.Conv2D(7, 1, kernel_initializer=keras.initializers.HeNormal(1), **settings)
    model = network_around(keras.layers.BatchNormalization(), layer)
    return train_three_steps(model, pointwise_products(model) if fast else nullcontext())


@pytest.mark.parametrize("settings", [{}, {"use_bias": False}, {"activation": "relu"}], ids=str)
def test_the_same_training(settings: dict[str, object]) -> None:
    """All weights come out as from Keras' own convolution, also of a smaller last batch."""
    for one, other in zip(train(fast=True, **settings), train(fast=False, **settings), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_bfloat16_computes_in_bfloat16() -> None:
    """In mixed precision the product is one of bfloat16, near that of float32."""
    model = network_around(keras.layers.Conv2D(7, 1, name="pointwise"))
    layer = model.get_layer("pointwise")
    features = np.random.default_rng(0).normal(size=(2, 4, 4, 5)).astype(np.float32)
    exact = layer(features)
    layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
    with pointwise_products(model):
        ours = layer(features)
    assert keras.backend.standardize_dtype(ours.dtype) == "bfloat16"
    np.testing.assert_allclose(np.asarray(ours, np.float32), exact, rtol=0.05, atol=0.02)


@pytest.mark.parametrize(
    "settings",
    [{"strides": 2}, {"groups": 5, "filters": 10}, {"kernel_size": (1, 3)}],
    ids=str,
)
def test_what_is_no_product_is_left_alone(settings: dict[str, object]) -> None:
    """Strides, groups and wider kernels stay Keras' own."""
    layer = keras.layers.Conv2D(**{"filters": 7, "kernel_size": 1, **settings}, name="other")
    model = network_around(layer)
    with pointwise_products(model):
        assert "call" not in vars(layer)


def test_layers_are_given_back() -> None:
    """Within the block the layer computes by the product, and after it by itself again."""
    model = network_around(keras.layers.Conv2D(7, 1, name="pointwise"))
    layer = model.get_layer("pointwise")
    with pointwise_products(model):
        assert "call" in vars(layer)
    assert "call" not in vars(layer)
