"""The promises of the five-block network."""

from __future__ import annotations

import keras
import pytest

import imgclf
from imgclf.errors import ArgumentError


def test_five_blocks_of_convolution_and_normalisation() -> None:
    """Filters double from block to block as stated, each normalised without a spare bias."""
    model = imgclf.build_model("five_conv", (64, 64, 3), filters=4)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [4, 8, 16, 16, 32]
    assert not any(layer.use_bias for layer in convolutions)
    assert sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers) == 5


def test_the_network_does_not_grow_with_the_image() -> None:
    """Global pooling: the number of weights is the same at any size."""
    small, large = (
        imgclf.build_model("five_conv", (side, side, 3), filters=4) for side in (32, 96)
    )
    assert small.count_params() == large.count_params()


def test_the_smallest_image_is_32_pixels() -> None:
    """The docstring's smallest size is the one that the error names."""
    imgclf.build_model("five_conv", (32, 32, 1), filters=4)
    with pytest.raises(ArgumentError, match="at least 32 x 32"):
        imgclf.build_model("five_conv", (31, 40, 1), filters=4)
    assert "From 32 pixels a side" in imgclf.describe_architecture("five_conv").details
