"""The promises of the deep plain network."""

from __future__ import annotations

import keras
import pytest

import imgclf
from imgclf.errors import ArgumentError


@pytest.mark.parametrize(("depth", "convolutions"), [(11, 8), (13, 10), (16, 13)])
def test_the_depths_are_those_of_the_paper(depth: int, convolutions: int) -> None:
    """The paper's depth counts three dense layers beside the convolutions."""
    model = imgclf.build_model("vgg_bn", (32, 32, 1), depth=depth, filters=4)
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(found) == convolutions == depth - 3
    assert {layer.kernel_size for layer in found} == {(3, 3)}
    assert found[-1].filters == 8 * 4


def test_the_smallest_image_is_32_pixels() -> None:
    """The docstring's smallest size is the one that the error names."""
    with pytest.raises(ArgumentError, match="at least 32 x 32"):
        imgclf.build_model("vgg_bn", (31, 40, 1), filters=4)
    assert "From 32 pixels a side" in imgclf.describe_architecture("vgg_bn").details
