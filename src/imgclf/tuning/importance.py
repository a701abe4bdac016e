"""The importance of each searched option for the accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgclf.tuning.space import Space
from imgclf.tuning.trials import Trial, completed

__all__ = ["FEWEST_TRIALS", "importance"]

FEWEST_TRIALS = 6
"""Fewer completed trials give no estimate."""

RANGE_BINS = 3
"""Number of equal groups into which the values of a range are divided: low, middle, high."""


def importance(trials: Sequence[Trial], space: Space) -> dict[str, float]:
    """Estimate the share of the scores' variance that each option alone explains.

    It is epsilon squared, the unbiased effect size of the analysis of variance (T. L. Kelley
    1935): an option without effect gets about 0 even with few trials. Interactions between options
    are not counted.

    Args:
        trials: All trials; only completed ones are used.
        space: The search space.

    Returns:
        Shares from 0 to 1 by name, the largest first; empty below six trials.
    """
    usable = completed(trials)
    if len(usable) < FEWEST_TRIALS:
        return {}
    shares = {name: _share(usable, name) for name in space.names}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _share(trials: Sequence[Trial], name: str) -> float:
    # Trials of architectures without this option are left out.
    pairs = [
        (trial.candidate.value(name), trial.score)
        for trial in trials
        if trial.candidate.value(name) is not None
    ]
    groups = _grouped(pairs)
    scores = np.array([score for group in groups for score in group])
    total = float(((scores - scores.mean()) ** 2).sum()) if scores.size else 0.0
    freedom = scores.size - len(groups)
    if len(groups) < 2 or freedom < 1 or total <= 0:
        return 0.0
    within = sum(float(((np.array(group) - np.mean(group)) ** 2).sum()) for group in groups)
    explained = (total - within - (len(groups) - 1) * within / freedom) / total
    return min(1.0, max(0.0, explained))


def _grouped(pairs: Sequence[tuple[object, float]]) -> list[list[float]]:
    """Group scores by value; many different numbers are divided into low, middle and high."""
    by_value: dict[str, list[float]] = {}
    for value, score in pairs:
        by_value.setdefault(repr(value), []).append(score)
    numeric = all(isinstance(value, (int, float)) for value, _ in pairs)
    if not numeric or len(by_value) <= max(RANGE_BINS, len(pairs) // 2):
        return list(by_value.values())
    ordered = [score for _, score in sorted(pairs, key=lambda pair: float(str(pair[0])))]
    return [list(part) for part in np.array_split(np.array(ordered), RANGE_BINS)]
