"""Settings as plain values: what ``config.json`` and ``best.json`` hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from imgclf.runs.settings import BY_RECIPE, Settings, setting_fields

if TYPE_CHECKING:
    from imgclf.data.batches.plan import Plan

__all__ = ["from_config", "plain_settings", "read_settings", "to_config"]


def plain_settings(settings: Settings) -> dict[str, Any]:
    """Return settings as values that JSON can hold.

    Args:
        settings: The settings; what is left to the recipe is left out.

    Returns:
        A value for each name; an architecture function is named only.
    """
    values = {item.name: getattr(settings, item.name) for item in setting_fields()}
    return {name: _plain(value) for name, value in values.items() if value is not BY_RECIPE}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if type(value).__name__ == "Augmentation":  # its room loads NumPy and OpenCV
        return asdict(value)
    return getattr(value, "__name__", value) if callable(value) else value


def read_settings(values: Mapping[str, Any]) -> Settings:
    """Read what `plain_settings` returned.

    Args:
        values: Values by name; other names are passed over, missing ones have their default.

    Returns:
        The settings.

    Raises:
        ArgumentError: A value is not accepted.
    """
    known = {item.name: values[item.name] for item in setting_fields() if item.name in values}
    if isinstance(known.get("augment"), Mapping):
        from imgclf.data.batches.augmentation import Augmentation

        known["augment"] = Augmentation(**known["augment"])
    return Settings(**known)


def to_config(plan: Plan, settings: Settings, precision: str) -> dict[str, Any]:
    """Write out every value, so that a run can be repeated from its folder alone.

    Args:
        plan: The images.
        settings: Every choice.
        precision: The one that was chosen for this machine.

    Returns:
        Plain values for JSON.
    """
    return {
        **plain_settings(settings),
        "precision": precision,
        "train_dir": plan.train_dir,
        "test_split": plan.test_split,
        "augmentation": asdict(plan.augmentation),
    }


def from_config(config: Mapping[str, Any]) -> tuple[str, Settings]:
    """Read what `to_config` wrote.

    Args:
        config: The content of a run's ``config.json``.

    Returns:
        The folder of the training images, and the settings of the run.
    """
    return config["train_dir"], read_settings(config)
