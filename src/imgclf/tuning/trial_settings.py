"""What all trials of a study share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from imgclf.errors import ArgumentError
from imgclf.options import Value, resolve_options
from imgclf.tuning.dimensions import TRAINING_OPTIONS
from imgclf.tuning.space import Space
from imgclf.tuning.trials import Candidate
from imgclf.zoo.registry import load_architecture

if TYPE_CHECKING:
    from imgclf.data.batches.plan import Plan
    from imgclf.tuning.datasets import DatasetPlan

__all__ = [
    "RefitOrder",
    "TrialOrder",
    "TrialSettings",
    "default_candidate",
    "make_candidate",
    "values_of",
]


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """What is the same in all trials; the defaults are those of `imgclf.runs.settings.Settings`.

    Attributes:
        epochs: Passes over the training images.
        learning_rate: The highest rate, where it is not searched.
        optimizer: Where it is not searched.
        schedule: ``"cosine"`` or ``"constant"``.
        weight_decay: Share of each kernel that a step of rate 1 takes away; None is the
            optimizer's own.
        label_smoothing: Share of each label that is spread over all classes.
        average_weights: Whether the result is a moving average of the weights.
        class_weight: ``"balanced"`` or None.
        patience: Epochs without a better one after which a trial ends; None never.
        precision: Of the training steps.
        seed: Decides the proposals and the initial weights.
        executions: Trainings per trial, with other seeds; their mean is the trial's score.
        max_parameters: Larger networks are not trained; None trains all.
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
        """Refuse counts that no search can have."""
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
        """Return plain values for the study's key."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TrialOrder:
    """All that a process needs to run one trial; picklable.

    Attributes:
        plan: From which the batches are made, with the study's own size, batch and augmentation.
        candidate: What is tried.
        settings: What all trials share.
        bundle: Where the bundle of the best execution is saved.
        log: The file for what the process prints.
    """

    plan: Plan | DatasetPlan
    candidate: Candidate
    settings: TrialSettings
    bundle: str
    log: str

    @property
    def study_dir(self) -> Path:
        """The study's folder."""
        return Path(self.log).parent.parent

    def run(self, report: Callable[[dict[str, Any]], None]) -> None:
        """Run the trial in this process, whatever it has imported so far."""
        from imgclf.tuning.trial_run import run_trial

        run_trial(self, report)


@dataclass(frozen=True, slots=True)
class RefitOrder:
    """All that a process needs to train the best candidate on training and validation images.

    Attributes:
        plan: From which the batches are built.
        candidate: The best one.
        settings: What all trials shared.
        seed: Decides the initial weights.
        bundle: Where the bundle is saved; empty saves none.
        log: The file for what the process prints.
    """

    plan: Plan
    candidate: Candidate
    settings: TrialSettings
    seed: int
    bundle: str
    log: str

    @property
    def study_dir(self) -> Path:
        """The study's folder."""
        return Path(self.log).parent.parent

    def run(self, report: Callable[[dict[str, Any]], None]) -> None:
        """Refit in this process."""
        from imgclf.tuning.refit import refit

        refit(self, report)


def default_candidate(
    architecture: str, plan: Plan | DatasetPlan, settings: TrialSettings
) -> Candidate:
    """Return what an architecture gives without a search: its defaults on the study's images."""
    from imgclf.data.batches.augmentation import PRESETS  # heavy

    presets = [name for name, preset in PRESETS.items() if preset == plan.augmentation]
    options = resolve_options(architecture, load_architecture(architecture).options, {})
    training = {
        "learning_rate": settings.learning_rate,
        "optimizer": settings.optimizer,
        "batch_size": plan.batch_size,
        "augment": presets[0] if presets else None,
        "image_size": list(plan.policy.image_size),
    }
    return Candidate(architecture, options, training, settings.epochs)


def make_candidate(
    space: Space,
    values: Mapping[str, Value],
    plan: Plan | DatasetPlan,
    settings: TrialSettings,
    epochs: int | None,
) -> Candidate:
    """Turn searched values into all that a trial needs: what is not searched keeps its default."""
    architecture = str(values["architecture"])
    default = default_candidate(architecture, plan, settings)
    options, training = dict(default.options), dict(default.training)
    for dimension in space.active(architecture):
        value = values[dimension.key]
        if dimension.architecture is not None:
            options[dimension.name] = value
        elif dimension.name == "image_size":
            training["image_size"] = [value, value]
        else:
            training[dimension.name] = value
    return Candidate(architecture, options, training, epochs or settings.epochs)


def values_of(candidate: Candidate, space: Space) -> dict[str, Value] | None:
    """Return the searched values of a candidate; None where it lies outside the space."""
    values: dict[str, Value] = {"architecture": candidate.architecture}
    for dimension in space.active(candidate.architecture):
        value = candidate.value(dimension.name)
        if dimension.name == "image_size":
            height, width = value
            value = height if height == width else None
        inside = (
            value in dimension.values
            if dimension.values
            else dimension.low <= cast("float", value) <= dimension.high
        )
        if not inside:
            return None
        values[dimension.key] = value
    return values
