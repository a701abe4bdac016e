"""The promises of the nine-layer residual network."""

from __future__ import annotations

import keras
import pytest

import imgclf
from imgclf.errors import ArgumentError


def test_nine_layers_with_weights_that_multiply() -> None:
    """Eight convolutions and the head: the nine of its name."""
    model = imgclf.build_model("resnet9", (32, 32, 3), filters=8)
    kinds = (keras.layers.Conv2D, keras.layers.Dense)
    assert sum(isinstance(layer, kinds) for layer in model.layers) == 9
    assert sum(isinstance(layer, keras.layers.Add) for layer in model.layers) == 2


@pytest.mark.parametrize("side", [32, 48, 63, 64, 96, 128, 160, 224])
def test_the_first_stage_works_on_32_to_63_pixels(side: int) -> None:
    """The stem's steps keep the cost about the same at any size from 32 to 224 pixels."""
    model = imgclf.build_model("resnet9", (side, side, 3), filters=8)
    assert 32 <= model.get_layer("stem_conv").output.shape[1] <= 63


def test_the_smallest_image_is_8_pixels() -> None:
    """The docstring's smallest size is the one that the error names."""
    imgclf.build_model("resnet9", (8, 8, 1), filters=8)
    with pytest.raises(ArgumentError, match="at least 8 x 8"):
        imgclf.build_model("resnet9", (7, 9, 1), filters=8)
    assert "from 8 to 224 pixels" in imgclf.describe_architecture("resnet9").summary
