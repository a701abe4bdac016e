"""Depthwise convolutions train with faster gradients, which are Keras' own."""

from __future__ import annotations

from contextlib import nullcontext

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as some

from imgclf.training.kernels.depthwise import depthwise_gradients
from one_layer_network import network_around, train_three_steps


def gradients(
    layer: keras.layers.DepthwiseConv2D, features: np.ndarray, *, fast: bool
) -> list[np.ndarray]:
    """Return a layer's output, and the gradients of a loss by its input and its kernel."""
    model = keras.Sequential([keras.Input(features.shape[1:]), layer])
    inputs = tf.constant(features)
    with depthwise_gradients(model) if fast else nullcontext(), tf.GradientTape() as tape:
        assert ("call" in vars(layer)) == fast
        tape.watch(inputs)
        outputs = layer(inputs)
        loss = tf.reduce_sum(tf.sin(tf.cast(outputs, tf.float32)))
    found = tape.gradient(loss, [inputs, layer.kernel.value])
    return [np.asarray(tf.cast(one, tf.float32)) for one in (outputs, *found)]


@settings(max_examples=40, deadline=None)
@given(
    height=some.integers(1, 13),
    width=some.integers(1, 13),
    kernel_height=some.integers(1, 6),
    kernel_width=some.integers(1, 6),
    stride=some.integers(1, 3),
    padding=some.sampled_from(["same", "valid"]),
)
def test_the_same_gradients(
    height: int, width: int, kernel_height: int, kernel_width: int, stride: int, padding: str
) -> None:
    """Whatever the sides, strides and padding, output and gradients are Keras' own."""
    if padding == "valid":
        height, width = max(height, kernel_height), max(width, kernel_width)
    features = np.random.default_rng(0).normal(size=(3, height, width, 4)).astype(np.float32)
    layer = keras.layers.DepthwiseConv2D(
        (kernel_height, kernel_width), strides=stride, padding=padding
    )
    ours, keras_own = (gradients(layer, features, fast=fast) for fast in (True, False))
    for one, other in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer_settings", [{}, {"use_bias": False, "activation": "relu"}], ids=str)
def test_the_same_training(layer_settings: dict[str, object]) -> None:
    """All weights come out as from Keras' own convolution, also of a smaller last batch."""

    def train(*, fast: bool) -> list[np.ndarray]:
        layer = keras.layers.DepthwiseConv2D(
            5,
            padding="same",
            depthwise_initializer=keras.initializers.HeNormal(1),
            **layer_settings,
        )
        model = network_around(keras.layers.BatchNormalization(), layer)
        return train_three_steps(model, depthwise_gradients(model) if fast else nullcontext())

    for one, other in zip(train(fast=True), train(fast=False), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("side", [4, 12])
def test_bfloat16_stays_close(side: int) -> None:
    """In mixed precision output and gradients are near those of float32."""
    features = np.random.default_rng(0).normal(size=(4, side, side, 6)).astype(np.float32)
    layer = keras.layers.DepthwiseConv2D(5, padding="same")
    exact = gradients(layer, features, fast=False)
    layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
    for one, other in zip(gradients(layer, features, fast=True), exact, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.02 * np.abs(other).max())


def test_a_network_of_any_size_trains() -> None:
    """Where the sides are not known before, the layer computes as Keras does."""
    image = keras.Input((None, None, 3))
    features = keras.layers.DepthwiseConv2D(5, padding="same")(image)
    outputs = keras.layers.Dense(2, "softmax")(keras.layers.GlobalAveragePooling2D()(features))
    model = keras.Model(image, outputs)
    model.compile("sgd", "categorical_crossentropy", jit_compile=False)
    with depthwise_gradients(model):
        model.fit(np.ones((2, 7, 5, 3), np.float32), np.eye(2, dtype=np.float32), verbose=0)
    assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.parametrize("layer_settings", [{"depth_multiplier": 2}, {"dilation_rate": 2}], ids=str)
def test_what_the_kernel_cannot_do_is_left_alone(layer_settings: dict[str, object]) -> None:
    """Several maps from one, and dilated kernels stay Keras' own."""
    layer = keras.layers.DepthwiseConv2D(3, padding="same", **layer_settings)
    with depthwise_gradients(network_around(layer)):
        assert "call" not in vars(layer)


def test_layers_are_given_back() -> None:
    """Within the block the layer has the faster gradients, and after it Keras' own again."""
    layer = keras.layers.DepthwiseConv2D(5, padding="same")
    with depthwise_gradients(network_around(layer)):
        assert "call" in vars(layer)
    assert "call" not in vars(layer)
