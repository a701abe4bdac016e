"""Candidates: what differs from one trial to another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from imgclf.options import Value, resolve_options
from imgclf.runs.phases import trains_a_head_first
from imgclf.runs.settings import Settings
from imgclf.tuning.space import Space
from imgclf.tuning.trial_settings import TrialSettings
from imgclf.zoo.registry import load_architecture

if TYPE_CHECKING:
    from imgclf.data.batches.plan import Plan
    from imgclf.tuning.datasets import DatasetPlan

__all__ = [
    "Candidate",
    "candidate_settings",
    "default_candidate",
    "make_candidate",
    "network_of_heads",
    "searched_values",
]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a trial tries: everything that differs between trials.

    Attributes:
        architecture: The architecture's name.
        options: A value for each of the architecture's options.
        training: ``learning_rate``, ``optimizer``, ``batch_size``, ``augment`` (a preset's name,
            or None for the study's own) and ``image_size``, ``[height, width]`` in pixels.
        epochs: Passes over the training images.
    """

    architecture: str
    options: Mapping[str, Value]
    training: Mapping[str, Any]
    epochs: int

    @property
    def key(self) -> str:
        """The candidate as JSON: equal for equal candidates only."""
        return json.dumps(asdict(self), sort_keys=True)

    def value(self, name: str) -> Any:
        """Return the value of anything that can be searched; None where it does not apply."""
        if name == "architecture":
            return self.architecture
        if name == "epochs":
            return self.epochs
        return self.training.get(name, self.options.get(name))

    def shown(self, name: str) -> Any:
        """Return a value as the command line takes it: image sizes as ``96`` or ``96x128``."""
        value = self.value(name)
        return "x".join(map(str, dict.fromkeys(value))) if isinstance(value, list) else value


def default_candidate(
    architecture: str, plan: Plan | DatasetPlan, settings: TrialSettings
) -> Candidate:
    """Return the candidate of an architecture's defaults, with the study's own settings."""
    from imgclf.data.batches.augmentation import PRESETS  # heavy

    presets = [name for name, preset in PRESETS.items() if preset == plan.augmentation]
    options = resolve_options(
        architecture, load_architecture(settings.architecture(architecture)).options, {}
    )
    training = {
        "learning_rate": settings.training.learning_rate,
        "optimizer": settings.training.optimizer,
        "batch_size": plan.batch_size,
        "augment": presets[0] if presets else None,
        "image_size": list(plan.policy.image_size),
        "head_penalty": settings.training.head_penalty,
        "head_copies": settings.training.head_copies,
    }
    return Candidate(architecture, options, training, settings.training.epochs)


def make_candidate(
    space: Space,
    values: Mapping[str, Value],
    plan: Plan | DatasetPlan,
    settings: TrialSettings,
    epochs: int | None,
) -> Candidate:
    """Return the candidate with these searched values; everything else keeps its default.

    Args:
        space: The search space.
        values: Values by `imgclf.tuning.dimensions.Dimension.key`, with ``"architecture"``.
        plan: The study's images.
        settings: Settings of every trial.
        epochs: Passes over the training images; None takes those of `settings`.

    Returns:
        The candidate.
    """
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
    return Candidate(architecture, options, training, epochs or settings.training.epochs)


def candidate_settings(settings: TrialSettings, candidate: Candidate) -> Settings:
    """Return the settings with which `imgclf.train` does what a candidate's trial does.

    Args:
        settings: What all trials share.
        candidate: What is tried.

    Returns:
        The settings.
    """
    tried = {name: value for name, value in candidate.training.items() if value is not None}
    return replace(
        settings.training,
        architecture=settings.architecture(candidate.architecture),
        options=candidate.options,
        epochs=candidate.epochs,
        **tried,
    )


def network_of_heads(settings: TrialSettings, candidate: Candidate) -> str:
    """Name the network whose features a candidate's head is fitted to, if nothing else is trained.

    Args:
        settings: What all trials share.
        candidate: What is tried.

    Returns:
        Equal texts for equal networks; empty where more than a head is trained.
    """
    own = candidate_settings(settings, candidate)
    is_head_only = own.fine_tune_epochs == 0 and trains_a_head_first(own)
    if not is_head_only or candidate.architecture in settings.functions:
        return ""
    parts = candidate.architecture, sorted(own.options.items()), own.height_and_width, own.seed
    return json.dumps([*parts, own.channels, own.data_format])


def searched_values(candidate: Candidate, space: Space) -> dict[str, Value] | None:
    """Return a candidate's searched values; None where it lies outside the space."""
    values: dict[str, Value] = {"architecture": candidate.architecture}
    for dimension in space.active(candidate.architecture):
        value = candidate.value(dimension.name)
        if dimension.name == "image_size":
            height, width = value
            value = height if height == width else None
        inside = (
            value in dimension.values
            if dimension.values
            else value is not None and dimension.low <= cast("float", value) <= dimension.high
        )
        if not inside:
            return None
        values[dimension.key] = value
    return values
