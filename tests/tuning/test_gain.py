"""The gain over the defaults: its band, and which option it comes from."""

from __future__ import annotations

import numpy as np
import pytest

from imgclf.errors import ArgumentError
from imgclf.tuning.gain import paired_gain


def test_the_band_holds_the_truth_as_often_as_it_says() -> None:
    """Over many draws with a known difference, 95 % of the intervals contain it."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        kind = rng.choice(4, size=150, p=[0.70, 0.12, 0.06, 0.12])
        gain = paired_gain((kind == 0) | (kind == 1), (kind == 0) | (kind == 2), "test")
        hits += gain.low <= 0.06 <= gain.high
    assert 0.935 <= hits / 2000 <= 0.985


def test_equal_answers_are_within_the_noise() -> None:
    """Two classifiers with the same answers gain nothing, with a band around zero."""
    same = np.array([True] * 90 + [False] * 10)
    gain = paired_gain(same, same, "val")
    assert gain.difference == 0
    assert gain.low < 0 < gain.high
    assert not gain.beyond_noise


def test_answers_to_other_images_are_refused() -> None:
    """Only answers to the same images can be compared."""
    with pytest.raises(ArgumentError, match="same images"):
        paired_gain(np.ones(3, bool), np.ones(4, bool), "val")
