"""airnet: what its source has and others have not."""

from __future__ import annotations

import numpy as np

import imgclf
from imgclf.architectures.airnet import _whitening


def test_the_first_layer_evens_out_what_photographs_have() -> None:
    """Each filter has its negative, and bright patches do not drown differences."""
    kernel = _whitening(3)
    np.testing.assert_array_equal(kernel[..., :12], -kernel[..., 12:])
    flat = np.ones((2, 2, 3))
    edge = flat * np.array([[1, -1], [1, -1]])[:, :, None]
    to_flat = np.abs(np.einsum("yxc,yxcf->f", flat, kernel)).max()
    to_edge = np.abs(np.einsum("yxc,yxcf->f", edge, kernel)).max()
    assert to_edge > 3 * to_flat


def test_convolutions_begin_as_the_identity() -> None:
    """The first filters pass their input on, so a deep network is a shallow one at first."""
    model = imgclf.build_model("airnet", (32, 32, 3), filters=8)
    kernel = model.get_layer("block2_2_conv").kernel.numpy()
    np.testing.assert_allclose(kernel[1, 1], np.eye(32), atol=1e-6)
    assert np.abs(kernel[0]).max() < 1e-6
    wider = model.get_layer("block2_1_conv").kernel.numpy()
    np.testing.assert_allclose(wider[1, 1, :, :8], np.eye(8), atol=1e-6)
    assert np.abs(wider[..., 8:]).max() > 0.01


def test_grey_images_and_large_ones_have_their_own_beginning() -> None:
    """One channel has four differences; images from 64 pixels on are shrunk first."""
    grey = imgclf.build_model("airnet", (32, 32, 1), filters=8)
    assert grey.get_layer("whiten").kernel.shape == (2, 2, 1, 8)
    large = imgclf.build_model("airnet", (130, 150, 3), filters=8)
    assert large.get_layer("shrink").output.shape[1:3] == (32, 37)


def test_a_third_convolution_has_a_shortcut() -> None:
    """What the first convolution of a block gives reaches its end past the two others."""
    model = imgclf.build_model("airnet", (32, 32, 3), filters=8, convolutions=3)
    first = model.get_layer("block2_1_activation").output
    assert any(first is tensor for tensor in model.get_layer("block2_add").input)
    plain = imgclf.build_model("airnet", (32, 32, 3), filters=8)
    assert model.count_params() > 1.5 * plain.count_params()
    assert not any("add" in layer.name for layer in plain.layers)
