"""The speed of a network is measured in a few steps, and its operations are counted."""

from __future__ import annotations

import keras
import pytest

import imgclf
from imgclf.training.speed import measure_speed, measure_step_cost, mega_flop


def test_operations_are_counted() -> None:
    """A kernel counts twice per place of its output; maps of unknown size are not guessed."""
    image = keras.Input((8, 8, 3))
    maps = keras.layers.Conv2D(4, 3, padding="same")(image)
    output = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(maps))
    expected = 2 * (8 * 8 * 3 * 3 * 3 * 4 + 4 * 2) / 1e6
    assert mega_flop(keras.Model(image, output)) == pytest.approx(expected)
    inner = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)])
    assert mega_flop(keras.Model(image, inner(image))) is None


@pytest.mark.parametrize(("num_classes", "channels"), [(2, 3), (5, 1)])
def test_a_network_of_any_head_is_measured(num_classes: int, channels: int) -> None:
    """Speed and cost are finite and above zero for one output unit and for several."""
    model = imgclf.build_model("three_conv", (32, 32, channels), num_classes, filters=8)
    speed = measure_speed(model, batch_size=4, num_steps=2)
    cost = measure_step_cost(model, 4, precision="float32")
    assert 0 < speed.train_images_per_s < float("inf")
    assert 0 < speed.predict_images_per_s < float("inf")
    assert 0 < cost.predict_s < 60
    assert 0 < cost.train_s < 60


def test_layers_compute_by_themselves_again() -> None:
    """The kernels of a long training, which the cost is measured with, are taken back."""
    model = imgclf.build_model("airnet", (16, 16, 3), 3, filters=8)
    measure_step_cost(model, 2, precision="float32")
    assert not any("call" in vars(layer) for layer in model.layers)
