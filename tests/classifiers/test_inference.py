"""The promise of the one road: an image's figures do not depend on how many go together."""

from __future__ import annotations

import numpy as np
import pytest

import imgclf
from imgclf.classifiers import inference
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.zoo.activations import activation_bytes


def test_a_large_network_has_fewer_images_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many go together as their values have room for, and the answers are the same."""
    model = imgclf.build_model("three_conv", (24, 24, 3), 3, seed=0, filters=8, hidden_units=8)
    images = np.random.default_rng(0).integers(0, 256, (37, 24, 24, 3), np.uint8)
    policy = InputPolicy((24, 24))
    assert inference._chunk_images(model) == inference.CHUNK_IMAGES
    usual = inference.make_engine(model, policy)([images])
    for room, expected in ((5, 4), (1, 1), (0.5, 1)):
        monkeypatch.setattr(inference, "CHUNK_BYTES", int(room * activation_bytes(model)))
        assert inference._chunk_images(model) == expected
        np.testing.assert_allclose(inference.make_engine(model, policy)([images]), usual, atol=1e-6)
