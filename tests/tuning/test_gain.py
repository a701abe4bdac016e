"""The gain over the defaults: its band, and which option it comes from."""

from __future__ import annotations

import numpy as np
import pytest

from imgclf.errors import ArgumentError
from imgclf.tuning.candidates import Candidate
from imgclf.tuning.gain import paired_gain
from imgclf.tuning.importance import importance
from imgclf.tuning.space import make_space
from imgclf.tuning.trials import Trial


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


def test_importance_finds_the_option_that_matters() -> None:
    """An option that decides the score gets most of the variance, one that does nothing little."""
    space = make_space("three_conv")
    rng = np.random.default_rng(1)
    trials = []
    for number in range(24):
        rate, filters = float(10 ** rng.uniform(-4, -2)), int(rng.choice([16, 32, 48, 64]))
        pooling = str(rng.choice(["max", "avg"]))
        score = 0.6 + (0.2 if pooling == "max" else 0.0) + rng.normal(0, 0.01)
        options = {"filters": filters, "pooling": pooling}
        candidate = Candidate("three_conv", options, {"learning_rate": rate}, 3)
        trials.append(Trial(number, candidate, "completed", accuracies=(float(score),)))
    shares = importance(trials, space)
    assert next(iter(shares)) == "pooling"
    assert shares["pooling"] > 0.9
    assert max(shares["filters"], shares["learning_rate"]) < 0.3
    assert importance(trials[:5], space) == {}
