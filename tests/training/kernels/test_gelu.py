"""GELU trains in compiled loops and computes what TensorFlow's own operations do."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import imgclf
from imgclf.training.kernels import gelu
from imgclf.training.kernels.gelu import fused_gelu
from one_layer_network import network_around, train_three_steps


def network(dtype: str = "float32") -> keras.Model:
    """Build a network of one convolution with GELU."""
    return network_around(keras.layers.Activation("gelu", name="activation", dtype=dtype))


def train(model: keras.Model, *, fused: bool) -> list[np.ndarray]:
    """Make three steps, in loops or as TensorFlow computes them; returns all weights."""
    return train_three_steps(model, fused_gelu(model, gelu.FEWEST_STEPS if fused else None))


def test_the_same_training() -> None:
    """Weights come out as from TensorFlow's own operations."""
    ours, keras_own = (train(network(), fused=fused) for fused in (True, False))
    for one, other in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_layers_are_given_back() -> None:
    """After a training, and after an exception in one, every layer computes by itself again."""
    model = network()
    layer = model.get_layer("activation")

    def stop() -> None:
        assert "call" in vars(layer)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"), fused_gelu(model, gelu.FEWEST_STEPS):
        stop()
    assert "call" not in vars(layer)


def test_bfloat16_stays_close() -> None:
    """In mixed precision the loops compute in float32 between bfloat16 values."""
    ours = train(network("mixed_bfloat16"), fused=True)
    for one, other in zip(ours, train(network(), fused=False), strict=True):
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.02)


def test_values_and_slopes() -> None:
    """From far below zero to far above, both are those of `tf.nn.gelu` to the sixth digit."""
    values = tf.constant(np.linspace(-30, 30, 4001, dtype=np.float32))
    found = []
    for function in (gelu._gelu, tf.nn.gelu):
        with tf.GradientTape() as tape:
            tape.watch(values)
            results = function(values)
        found.append((results.numpy(), tape.gradient(results, values).numpy()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * 30)
        assert np.isfinite(one).all()


@pytest.mark.parametrize("steps", [None, gelu.FEWEST_STEPS - 1])
def test_a_short_training_compiles_nothing(steps: int | None) -> None:
    """Where compiling would take longer than it saves, layers stay as they are."""
    model = network()
    with fused_gelu(model, steps):
        assert "call" not in vars(model.get_layer("activation"))


def test_a_tensorflow_without_compiler_trains_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where XLA is missing, layers stay as they are."""

    def fail(_values: tf.Tensor) -> None:
        raise tf.errors.UnimplementedError(None, None, "no XLA here")

    monkeypatch.setattr(gelu, "_forward", fail)
    gelu._has_compiler.cache_clear()
    model = network()
    try:
        with fused_gelu(model, gelu.FEWEST_STEPS):
            assert "call" not in vars(model.get_layer("activation"))
    finally:
        gelu._has_compiler.cache_clear()


def test_other_activations_are_left_alone() -> None:
    """GELU's approximation by a tangent, and every other activation, stay TensorFlow's."""
    image = keras.Input((4, 4, 3), name="image")
    features = keras.layers.Activation(
        lambda values: keras.activations.gelu(values, approximate=True), name="tangent"
    )(image)
    model = keras.Model(image, keras.layers.Activation("relu", name="relu")(features))
    with fused_gelu(model, gelu.FEWEST_STEPS):
        assert not any("call" in vars(model.get_layer(name)) for name in ("tangent", "relu"))


def test_fit_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`imgclf.fit` trains through the loops, and its network is Keras' own afterwards."""
    monkeypatch.setattr(gelu, "FEWEST_STEPS", 2)
    model = imgclf.build_model("airnet", (16, 16, 3), 3, filters=8)
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    labels = np.eye(3, dtype=np.float32)[np.arange(8) % 3]
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Activation)]
    seen = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(  # noqa: ARG005 - Keras names them
            ["call" in vars(layer) for layer in layers]
        )
    )
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    imgclf.fit(model, batches, epochs=1, callbacks=[note])
    assert seen == [[True] * len(layers)] * 2
    assert len(layers) > 3
    assert not any("call" in vars(layer) for layer in layers)
