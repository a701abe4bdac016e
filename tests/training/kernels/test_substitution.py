"""The computation of chosen layers is replaced for a while, nested layers included."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from imgclf.training.kernels.substitution import substituted_calls


def nested_network() -> keras.Model:
    """Build a network whose only dense layer lies inside another network."""
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="dense")])
    image = keras.Input((2,))
    return keras.Model(image, keras.layers.ReLU()(inner(image)))


def test_a_nested_layer_computes_otherwise_within_the_block() -> None:
    """Within the block the replacement computes; after an exception the layer does again."""
    model = nested_network()
    values = np.ones((1, 2), np.float32)
    before = model.predict(values, verbose=0)

    def compute_sevens() -> None:
        with substituted_calls(
            model,
            lambda _layer, inputs, **_others: keras.ops.zeros_like(inputs) + 7,
            lambda layer: layer.name == "dense",
        ):
            np.testing.assert_array_equal(model.predict(values, verbose=0), [[7, 7]])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        compute_sevens()
    np.testing.assert_array_equal(model.predict(values, verbose=0), before)
