"""The promises of the patch mixer."""

from __future__ import annotations

import pytest

import imgclf
from imgclf.errors import ArgumentError


def test_the_resolution_is_that_of_the_patches_all_the_way() -> None:
    """One patch, one position: no layer behind the embedding changes the map."""
    model = imgclf.build_model("convmixer", (32, 24, 3), filters=8, depth=2, patch=4)
    maps = {layer.output.shape[1:3] for layer in model.layers if layer.name.startswith("block")}
    assert maps == {(8, 6)}


@pytest.mark.parametrize("patch", [2, 4, 7])
def test_the_smallest_image_is_one_patch(patch: int) -> None:
    """The error names the patch's side as the smallest size."""
    imgclf.build_model("convmixer", (patch, patch, 1), filters=8, depth=1, patch=patch)
    with pytest.raises(ArgumentError, match=f"at least {patch} x {patch}"):
        imgclf.build_model("convmixer", (patch - 1, 9, 1), filters=8, depth=1, patch=patch)


def test_depth_and_kernel_are_those_asked_for() -> None:
    """`depth` blocks with depthwise convolutions of `kernel` x `kernel` patches."""
    model = imgclf.build_model("convmixer", (16, 16, 1), filters=8, depth=3, kernel=7)
    names = [layer.name for layer in model.layers if layer.name.endswith("depthwise_conv")]
    assert len(names) == 3
    assert model.get_layer(names[0]).kernel_size == (7, 7)
