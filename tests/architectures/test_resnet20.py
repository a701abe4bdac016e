"""The promises of the residual network for small images."""

from __future__ import annotations

import keras
import pytest

import imgclf


def test_twenty_layers_have_the_papers_size() -> None:
    """At 32 pixels and 10 classes: 0.27 million parameters (He et al. 2015, table 6)."""
    model = imgclf.build_model("resnet20", (32, 32, 3), 10)
    assert 0.265e6 < model.count_params() < 0.28e6


@pytest.mark.parametrize("depth", [20, 32, 44])
def test_depth_counts_the_layers_on_the_long_way(depth: int) -> None:
    """Convolutions beside the shortcuts, plus the head, are `depth`."""
    model = imgclf.build_model("resnet20", (16, 16, 1), depth=depth, filters=4)
    kinds = (keras.layers.Conv2D, keras.layers.Dense)
    names = [layer.name for layer in model.layers if isinstance(layer, kinds)]
    assert len([name for name in names if "shortcut" not in name]) == depth


def test_any_size_builds() -> None:
    """Even one pixel goes through: strides with padding never use up the picture."""
    assert imgclf.build_model("resnet20", (1, 1, 1), filters=4).output_shape == (None, 1)
    assert "For any size" in imgclf.describe_architecture("resnet20").details
