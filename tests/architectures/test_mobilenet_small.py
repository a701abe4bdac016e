"""The promises of the depthwise separable network."""

from __future__ import annotations

import keras

import imgclf


def test_only_the_stem_looks_at_neighbours_in_all_maps_at_once() -> None:
    """Behind the stem every 3x3 filter sees one map; 1x1 convolutions mix them."""
    model = imgclf.build_model("mobilenet_small", (32, 32, 3), filters=4)
    plain = [layer for layer in model.layers if type(layer) is keras.layers.Conv2D]
    assert {layer.kernel_size for layer in plain if layer.name != "stem_conv"} == {(1, 1)}
    depthwise = [layer for layer in model.layers if type(layer) is keras.layers.DepthwiseConv2D]
    assert len(depthwise) == len(plain) - 1


def test_middle_blocks_are_an_option() -> None:
    """Five of them give the paper's depth, none the smallest network."""
    counts = [
        len(imgclf.build_model("mobilenet_small", (32, 32, 1), filters=4, middle_blocks=n).layers)
        for n in (0, 1, 5)
    ]
    assert counts[1] - counts[0] == 6
    assert counts[2] - counts[0] == 30


def test_any_size_builds() -> None:
    """Even one pixel goes through."""
    model = imgclf.build_model("mobilenet_small", (1, 1, 1), filters=4)
    assert model.output_shape == (None, 1)
    assert "For any size" in imgclf.describe_architecture("mobilenet_small").details
