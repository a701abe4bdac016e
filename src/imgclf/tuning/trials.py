"""Trials that have ended, and their ranking."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from imgclf.tuning.candidates import Candidate

__all__ = ["Trial", "best_trial", "completed", "rank", "trial_from_dict"]

Status = Literal["completed", "failed", "refused"]


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial that has ended.

    Attributes:
        number: Number of the trial, from 0; the first are the defaults of each architecture.
        candidate: What it tried.
        status: ``"completed"``, ``"failed"`` or ``"refused"`` (too many parameters; not trained).
        reason: Why it failed or was refused; empty otherwise.
        accuracies: Validation accuracy of each execution, 0 to 1, in float32.
        log_loss: Mean validation log loss of the executions; ranks equal accuracies.
        num_correct: Number of validation images that the saved classifier classifies correctly.
        num_images: Number of validation images.
        num_parameters: Parameters of the network; 0 if it was not built.
        best_epoch: Epoch of the saved weights, from 0.
        duration_s: Wall time of the whole trial, in seconds.
        fit_s: Wall time of its trainings, in seconds.
    """

    number: int
    candidate: Candidate
    status: Status
    reason: str = ""
    accuracies: tuple[float, ...] = ()
    log_loss: float = math.inf
    num_correct: int = 0
    num_images: int = 0
    num_parameters: int = 0
    best_epoch: int | None = None
    duration_s: float = 0.0
    fit_s: float = 0.0

    @property
    def score(self) -> float:
        """Mean accuracy of the executions; 0 without a result."""
        return statistics.fmean(self.accuracies) if self.accuracies else 0.0

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the executions' accuracies; None for a single one."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def bundle_accuracy(self) -> float:
        """Validation accuracy of the saved classifier, as `imgclf.evaluate` gives it."""
        return self.num_correct / self.num_images if self.num_images else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self)
        values["log_loss"] = self.log_loss if math.isfinite(self.log_loss) else None
        return values


def trial_from_dict(values: Mapping[str, Any]) -> Trial:
    """Return the trial that `Trial.as_dict` wrote.

    Raises:
        KeyError: A field is missing.
        TypeError: A field is unknown or of the wrong type.
        ValueError: A value is not possible.
    """
    log_loss = values["log_loss"]
    trial = Trial(
        **{
            **values,
            "candidate": Candidate(**values["candidate"]),
            "accuracies": tuple(float(item) for item in values["accuracies"]),
            "log_loss": math.inf if log_loss is None else float(log_loss),
        }
    )
    if trial.status not in ("completed", "failed", "refused") or not isinstance(trial.number, int):
        raise ValueError(f"status {trial.status!r}, number {trial.number!r}")
    if (trial.status == "completed") != bool(trial.accuracies):
        raise ValueError(f"{trial.status} with {len(trial.accuracies)} accuracies")
    return trial


def completed(trials: Sequence[Trial]) -> list[Trial]:
    """Return the completed trials."""
    return [trial for trial in trials if trial.status == "completed"]


def rank(trials: Sequence[Trial]) -> list[Trial]:
    """Sort by mean accuracy, log loss and number, the best first; without a result last."""
    return sorted(
        trials,
        key=lambda trial: (
            trial.status != "completed",
            -trial.score,
            trial.log_loss,
            trial.number,
        ),
    )


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """Return the best completed trial; None if there is none."""
    return next(iter(rank(completed(trials))), None)
