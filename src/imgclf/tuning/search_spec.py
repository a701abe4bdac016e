"""The description of a search: everything that decides it except the images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgclf.errors import ArgumentError
from imgclf.tuning.proposals import Strategy
from imgclf.tuning.space import Space
from imgclf.tuning.trial_settings import TrialSettings

__all__ = ["SearchLimits", "SearchSpec"]


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """When a search ends.

    Attributes:
        max_trials: Most trials of the study, those of earlier searches and the defaults included;
            refused ones do not count.
        budget_s: Wall time after which no trial is begun; None sets no bound. A trial that would
            not end in time, judged by the median so far, is not begun either.
        keep: Bundles that stay on disk, the best ones; those of the defaults stay beside them.
    """

    max_trials: int = 20
    budget_s: float | None = None
    keep: int = 3

    def __post_init__(self) -> None:
        """Refuse limits with which no search could begin."""
        for name in ("max_trials", "keep"):
            count = getattr(self, name)
            if isinstance(count, bool) or not count >= 1 or count % 1:
                raise ArgumentError(
                    f"{name}={count!r} is not accepted: give a whole number from 1 on."
                )
        if self.budget_s is not None and not self.budget_s > 0:
            raise ArgumentError(
                f"budget_s={self.budget_s!r} is not accepted: give seconds above 0, or None."
            )


@dataclass(frozen=True, slots=True)
class SearchSpec:
    """All that decides a search but the images.

    Attributes:
        space: What is searched.
        strategy: How.
        settings: What all trials share.
        limits: When it ends.
        study_dir: The study's folder; None is ``studies/<architectures>-<key>``.
        resume: Go on with the study of that folder.
        fresh: Remove the study of that folder.
        refit: So many seeds with which the best candidate is trained on training and validation
            images together.
        tensorboard: Whether event files for TensorBoard are written.
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
