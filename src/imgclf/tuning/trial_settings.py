"""The settings that all trials of a study share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from imgclf.errors import ArgumentError
from imgclf.tuning.dimensions import TRAINING_OPTIONS

__all__ = ["TrialSettings"]


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """Settings of every trial; the defaults are those of `imgclf.runs.settings.Settings`.

    Attributes:
        epochs: Passes over the training images.
        learning_rate: Highest learning rate, where it is not searched.
        optimizer: Name of the optimizer, where it is not searched.
        schedule: Learning rate schedule: ``"cosine"`` or ``"constant"``.
        weight_decay: Decoupled weight decay; None is the optimizer's own.
        label_smoothing: Label smoothing, 0 to 1.
        average_weights: Whether the weights are averaged over the last steps (a moving average).
        class_weight: ``"balanced"`` weights classes by their inverse frequency; None does not.
        patience: Early stopping: epochs without improvement after which a trial ends; None never
            stops early.
        precision: Precision of the training steps.
        seed: Seed of the proposals and of the initial weights.
        executions: Trainings per trial, each with another seed; their mean is the trial's score.
        max_parameters: Larger networks are not trained; None sets no limit.
    """

    epochs: int = 10
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float | None = None
    label_smoothing: float = 0.0
    average_weights: bool = False
    class_weight: Literal["balanced"] | None = None
    patience: int | None = None
    precision: Literal["auto", "float32", "mixed_bfloat16"] = "auto"
    seed: int = 0
    executions: int = 1
    max_parameters: int | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in ("epochs", "executions", "patience", "max_parameters"):
            count = getattr(self, name)
            if count is not None and (isinstance(count, bool) or not count >= 1 or count % 1):
                raise ArgumentError(
                    f"{name}={count!r} is not accepted: give a whole number from 1 on."
                )
        for option in TRAINING_OPTIONS[:2]:
            value = getattr(self, option.name)
            if not option.range.accepts(value):
                raise ArgumentError(
                    f"{option.name}={value!r} is not accepted: give {option.range.accepted}."
                )

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for the study's identity."""
        return asdict(self)
