"""Which option the differences in accuracy come from."""

from __future__ import annotations

import numpy as np

from imgclf.tuning.candidates import Candidate
from imgclf.tuning.importance import importance
from imgclf.tuning.space import make_space
from imgclf.tuning.trials import Trial


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
