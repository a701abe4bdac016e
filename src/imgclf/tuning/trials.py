"""What is known of one trial: what it was, and how it ended."""

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
        number: Counted from 0; the first are the defaults of each architecture.
        candidate: What was tried.
        status: ``"completed"``, ``"failed"`` or ``"refused"`` (too many parameters; not trained).
        reason: Why it failed or was refused; empty otherwise.
        accuracies: Validation accuracy of each execution, float32, 0 to 1.
        log_loss: Mean validation log loss of the executions; tells equal accuracies apart.
        num_correct: Validation images that the saved bundle classifies correctly.
        num_images: Validation images.
        num_parameters: Parameters of the network; 0 where it was never built.
        best_epoch: Epoch of the saved weights, counted from 0.
        duration_s: Wall time from its start to its end.
        fit_s: The part of it that the trainings themselves took.
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
        """Mean accuracy over the executions; 0 for a trial that gave none."""
        return statistics.fmean(self.accuracies) if self.accuracies else 0.0

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the executions; None for a single one."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def bundle_accuracy(self) -> float:
        """Accuracy that `imgclf.evaluate` gave for the saved bundle on the validation images."""
        return self.num_correct / self.num_images if self.num_images else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self)
        values["log_loss"] = self.log_loss if math.isfinite(self.log_loss) else None
        return values


def trial_from_dict(values: Mapping[str, Any]) -> Trial:
    """Return the trial that `Trial.as_dict` wrote; raises where a part is missing or unknown."""
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
    """Return the trials that have a result."""
    return [trial for trial in trials if trial.status == "completed"]


def rank(trials: Sequence[Trial]) -> list[Trial]:
    """Sort the best first: by mean accuracy, then log loss, then number; those without one last."""
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
    """Return the best trial that has a result, if any has."""
    return next(iter(rank(completed(trials))), None)
