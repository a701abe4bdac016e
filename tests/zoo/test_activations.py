"""The promise of the estimate: it counts what a network holds for one image, wherever it does."""

from __future__ import annotations

from typing import Any

import keras
import pytest

import imgclf
from imgclf.errors import ArgumentError
from imgclf.zoo.activations import MAX_ACTIVATION_BYTES, activation_bytes


def network(*layers: keras.layers.Layer, side: int = 10) -> keras.Model:
    """Return a network of some layers on images of 10 x 10 pixels in colour."""
    return keras.Sequential([keras.Input((side, side, 3)), *layers])


def test_a_layer_holds_what_it_reads_and_gives() -> None:
    """The largest layer counts, in float32, for one image."""
    assert activation_bytes(network(keras.layers.ReLU())) == 4 * 2 * 300
    wide = network(keras.layers.Conv2D(7, 3), keras.layers.GlobalAveragePooling2D())
    assert activation_bytes(wide) == 4 * (300 + 8 * 8 * 7)


def test_a_network_in_a_network_counts() -> None:
    """What is hidden in a nested model is found."""
    inner = network(keras.layers.Conv2D(100, 1), keras.layers.Conv2D(2, 1))
    assert activation_bytes(network(inner)) == 4 * (300 + 100 * 100)


def test_windows_of_grouped_convolutions_count() -> None:
    """A convolution in groups lays out each place's window, k x k values of every channel."""
    grouped = network(keras.layers.Conv2D(3, 7, groups=3, padding="same"))
    assert activation_bytes(grouped) == 4 * (300 + 300 + 100 * 49 * 3)


def test_images_that_no_machine_holds_are_refused_before_a_training() -> None:
    """What could not be loaded again is not built: the line says what was asked for."""
    options: dict[str, Any] = {"filters": 32, "hidden_units": 8}
    with keras.StatelessScope(), pytest.raises(ArgumentError, match=r"4096 x 4096 .* too large"):
        imgclf.build_model("vgg_bn", (4096, 4096, 3), **options)


@pytest.mark.parametrize("name", ["resnet9", "five_conv", "mobilenet_v3", "efficientnet_lite"])
def test_photographs_of_usual_size_are_far_below(name: str) -> None:
    """Images of 512 x 512 pixels take a tenth of what is accepted."""
    assert 10 * activation_bytes(imgclf.build_model(name, (512, 512, 3))) < MAX_ACTIVATION_BYTES
