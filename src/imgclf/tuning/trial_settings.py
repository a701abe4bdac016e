"""The settings that all trials of a study share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from imgclf.arguments import whole_number
from imgclf.errors import ArgumentError
from imgclf.runs.config import plain_settings, read_settings
from imgclf.runs.settings import Settings
from imgclf.zoo.travelling import TravellingFunction

__all__ = ["NOT_IN_TRIALS", "OF_THE_FOLDER", "TrialSettings"]

NOT_IN_TRIALS = frozenset({
    "architecture", "options", "epochs", "budget", "freeze", "shrink_batch", "deterministic",
    "tensorboard", "mlflow",
})  # fmt: skip
"""Settings that a search does not take: it has its own, or trials have none."""

OF_THE_FOLDER = frozenset({"val_dir", "test_dir", "split_file", "store", "strict"})
"""Settings that say where images lie, not what is made of them."""


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """Settings of every trial.

    Attributes:
        training: Settings of a training, with nothing left open; what a candidate tries replaces
            its own.
        executions: Trainings per trial, each with another seed; their mean is the trial's score.
        max_parameters: Larger networks are not trained; None sets no limit.
        functions: Architectures of no package, by name.
    """

    training: Settings
    executions: int = 1
    max_parameters: int | None = None
    functions: Mapping[str, TravellingFunction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in ("executions", "max_parameters"):
            count = getattr(self, name)
            if count is not None:
                whole_number(name, count)
        if self.training.learning_rate == "auto":
            raise ArgumentError(
                "learning_rate='auto' measures one rate for one network; a search tries several: "
                "give a number, or leave it out."
            )

    def architecture(self, name: str) -> str | Callable[..., Any]:
        """Return what builds the networks of this name: the name itself, or a function."""
        return self.functions[name].load() if name in self.functions else name

    def function(self, name: str) -> Callable[..., Any] | None:
        """Return the function of a name, where no package provides it."""
        return self.functions[name].load() if name in self.functions else None

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values; `from_dict` reads them.

        Functions are left out: what is written or sent as text never leads to code.
        """
        return {
            "training": plain_settings(self.training),
            "executions": self.executions,
            "max_parameters": self.max_parameters,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialSettings:
        """Read what `as_dict` returned."""
        training = read_settings(values["training"])
        return cls(training, values["executions"], values["max_parameters"])

    def identity(self) -> dict[str, Any]:
        """Return what makes trials comparable: everything but where the images lie."""
        values = self.as_dict()
        training = {
            name: value for name, value in values["training"].items() if name not in OF_THE_FOLDER
        }
        identity: dict[str, Any] = {**values, "training": training}
        if self.functions:
            identity["functions"] = {
                name: function.source_sha256 for name, function in self.functions.items()
            }
        return identity
