"""Batch normalisation trains in one kernel and computes what Keras' own does."""

from __future__ import annotations

from contextlib import nullcontext

import keras
import numpy as np
import pytest
import tensorflow as tf

import imgclf
from imgclf.training.kernels.normalisation import fused_normalisation
from one_layer_network import network_around, train_three_steps


def network(**settings: object) -> keras.Model:
    """Build a network of one convolution and one batch normalisation."""
    layer = keras.layers.BatchNormalization(name="norm", **settings)
    return network_around(layer, keras.layers.ReLU())


def train(model: keras.Model, *, fused: bool) -> list[np.ndarray]:
    """Make three steps, with the kernel or as Keras computes them; returns all weights."""
    return train_three_steps(model, fused_normalisation(model) if fused else nullcontext())


@pytest.mark.parametrize(
    "settings",
    [{}, {"scale": False}, {"center": False, "momentum": 0.5}, {"epsilon": 0.1}, {"axis": 3}],
)
def test_the_same_training(settings: dict[str, object]) -> None:
    """Weights, moving mean and moving variance come out as from Keras' own operations."""
    ours, keras_own = (train(network(**settings), fused=fused) for fused in (True, False))
    for one, other in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_bfloat16_stays_close() -> None:
    """In mixed precision the averages are float32 and near those of float32."""
    model = network()
    model.get_layer("norm").dtype_policy = keras.DTypePolicy("mixed_bfloat16")
    ours, exact = train(model, fused=True), train(network(), fused=False)
    for one, other in zip(ours, exact, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.02)


def test_a_single_value_per_channel_is_no_division_by_zero() -> None:
    """One image whose map is one pixel has no variance; the averages stay finite."""
    layer = keras.layers.BatchNormalization(name="norm")
    image = keras.Input((1, 1, 4), name="image")
    model = keras.Model(image, layer(image))
    with fused_normalisation(model):
        model(np.ones((1, 1, 1, 4), np.float32), training=True)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_layers_are_given_back() -> None:
    """After a training, and after an exception in one, every layer computes by itself again."""
    model = network()
    layer = model.get_layer("norm")
    own = layer.call

    def stop() -> None:
        assert layer.call != own
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"), fused_normalisation(model):
        stop()
    assert layer.call == own
    assert "call" not in vars(layer)


@pytest.mark.parametrize(
    "settings", [{"renorm": True}, {"synchronized": True}, {"axis": 1}], ids=str
)
def test_what_the_kernel_cannot_do_is_left_alone(settings: dict[str, object]) -> None:
    """Renormalisation, several devices in step and channels first stay Keras' own."""
    model = network(**settings)
    with fused_normalisation(model):
        assert "call" not in vars(model.get_layer("norm"))


def test_a_frozen_normalisation_keeps_its_averages() -> None:
    """A layer that is not trained normalises with its averages and leaves them alone."""
    model = network()
    model.get_layer("norm").trainable = False
    before = model.get_layer("norm").get_weights()
    train(model, fused=True)
    for one, other in zip(before, model.get_layer("norm").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_fit_uses_it() -> None:
    """`imgclf.fit` trains through the fused kernel, and its network is Keras' own afterwards."""
    model = imgclf.build_model("resnet9", (16, 16, 3), 3, filters=8)
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    labels = np.eye(3, dtype=np.float32)[np.arange(8) % 3]
    layers = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    seen: list[bool] = []

    class Looking(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None) -> None:
            seen.extend("call" in vars(layer) for layer in layers)

    batches = tf.data.Dataset.from_tensors((images, labels))
    imgclf.fit(model, batches, epochs=1, callbacks=[Looking()])
    assert seen == [True] * len(layers) != []
    assert not any("call" in vars(layer) for layer in layers)
