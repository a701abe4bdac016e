"""How much each searched option had to do with the accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgclf.tuning.space import Space
from imgclf.tuning.trials import Trial, completed

__all__ = ["FEWEST_TRIALS", "importance"]

FEWEST_TRIALS = 6
"""Below this number of trials nothing can be said."""

RANGE_BINS = 3
"""A range is parted into this many groups of equal size: low, middle, high."""


def importance(trials: Sequence[Trial], space: Space) -> dict[str, float]:
    """Estimate the share of the scores' variance that each option alone explains.

    It is epsilon squared, the analysis of variance's effect size without its bias (T. L. Kelley
    1935): an option that does nothing comes out near 0 also with few trials. Options that work
    only together get less than they deserve.

    Args:
        trials: All trials; those without a result are left out.
        space: What was searched.

    Returns:
        Shares from 0 to 1 by name, the largest first; empty below six trials.
    """
    usable = completed(trials)
    if len(usable) < FEWEST_TRIALS:
        return {}
    shares = {name: _share(usable, name) for name in space.names}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _share(trials: Sequence[Trial], name: str) -> float:
    # Where an option does not apply (another architecture was chosen) the trial says nothing of it.
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
    """Put scores of equal values together; many different numbers become low, middle, high."""
    by_value: dict[str, list[float]] = {}
    for value, score in pairs:
        by_value.setdefault(repr(value), []).append(score)
    numeric = all(isinstance(value, (int, float)) for value, _ in pairs)
    if not numeric or len(by_value) <= max(RANGE_BINS, len(pairs) // 2):
        return list(by_value.values())
    ordered = [score for _, score in sorted(pairs, key=lambda pair: float(str(pair[0])))]
    return [list(part) for part in np.array_split(np.array(ordered), RANGE_BINS)]
