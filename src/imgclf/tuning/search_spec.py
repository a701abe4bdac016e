"""The description of a search: everything that decides it except the images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgclf.arguments import whole_number
from imgclf.errors import ArgumentError
from imgclf.tuning.proposals import Strategy
from imgclf.tuning.space import Space
from imgclf.tuning.trial_settings import TrialSettings

__all__ = ["SearchLimits", "SearchSpec"]


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """When a search ends, and what it keeps.

    Attributes:
        max_trials: Maximum number of trials of the study, including the defaults and the trials of
            earlier searches; refused ones do not count.
        budget_s: Wall time in seconds after which no trial starts; None sets no limit. A trial
            that would not end in time, judged by the median duration so far, does not start.
        keep: Number of the best trials whose classifiers stay on disk; those of the defaults
            always stay.
    """

    max_trials: int = 20
    budget_s: float | None = None
    keep: int = 3

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in ("max_trials", "keep"):
            whole_number(name, getattr(self, name))
        if self.budget_s is not None and not self.budget_s > 0:
            raise ArgumentError(
                f"budget_s={self.budget_s!r} is not accepted: give seconds above 0, or None."
            )


@dataclass(frozen=True, slots=True)
class SearchSpec:
    """Everything that decides a search, except the images.

    Attributes:
        space: The search space.
        strategy: The search strategy.
        settings: Settings of every trial.
        limits: When the search ends.
        study_dir: The study's folder; None is ``studies/<architectures>-<key>``.
        resume: Whether to go on with the study in that folder.
        fresh: Whether to remove the study in that folder first.
        refit: Number of seeds with which the best candidate is trained again, on training and
            validation images together.
        tensorboard: Whether to write event files for TensorBoard.
    """

    space: Space
    strategy: Strategy
    settings: TrialSettings
    limits: SearchLimits
    study_dir: Path | None = None
    resume: bool = False
    fresh: bool = False
    refit: int = 0
    tensorboard: bool = False
