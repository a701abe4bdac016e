"""Trials and their ranking."""

from __future__ import annotations

import json
from typing import Any

from imgclf.tuning.candidates import Candidate
from imgclf.tuning.trials import Trial, best_trial, rank, trial_from_dict


def make_trial(number: int, accuracy: float | None, **others: Any) -> Trial:
    """Return a trial that has ended."""
    candidate = Candidate("three_conv", {"filters": 16 + number}, {"learning_rate": 1e-3}, 3)
    if accuracy is None:
        return Trial(number, candidate, "failed", "it broke")
    return Trial(number, candidate, "completed", accuracies=(accuracy,), log_loss=0.5,
                 num_correct=round(accuracy * 100), num_images=100, **others)  # fmt: skip


def test_a_failed_trial_is_never_best() -> None:
    """Trials rank by accuracy, then log loss, then number; those without a result come last."""
    close = make_trial(3, 0.9, best_epoch=1)
    better = trial_from_dict({**json.loads(json.dumps(close.as_dict())), "number": 4,
                              "log_loss": 0.1})  # fmt: skip
    trials = [make_trial(0, None), make_trial(1, 0.0), close, better]
    assert [trial.number for trial in rank(trials)] == [4, 3, 1, 0]
    assert best_trial(trials) == better
    assert best_trial([make_trial(0, None)]) is None
