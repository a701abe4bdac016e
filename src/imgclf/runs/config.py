"""Settings as plain values: what ``config.json`` and ``best.json`` hold."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from imgclf.errors import RunFolderError
from imgclf.runs.settings import AUTOMATIC, BY_RECIPE, Settings, setting_fields
from imgclf.zoo.registry import ARCHITECTURE_NAME, load_architecture

if TYPE_CHECKING:
    from imgclf.data.batches.plan import Plan

__all__ = ["from_config", "plain_settings", "plain_value", "read_settings", "to_config"]

_logger = logging.getLogger(__name__)


def plain_settings(settings: Settings) -> dict[str, Any]:
    """Return settings as values that JSON can hold.

    Args:
        settings: The settings; what is left to the recipe is left out.

    Returns:
        A value for each name; an architecture function is named only.
    """
    values = {item.name: getattr(settings, item.name) for item in setting_fields()}
    return {name: plain_value(value) for name, value in values.items() if value is not BY_RECIPE}


def plain_value(value: Any) -> Any:
    """Return the value of a setting as JSON can hold it."""
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
    architecture = None
    if settings.architecture != AUTOMATIC:
        architecture = load_architecture(settings.architecture)
    return {
        **plain_settings(settings),
        "architecture_installed": architecture is None or architecture.registration is not None,
        "architecture_sha256": architecture and architecture.source_sha256,
        "precision": precision,
        "train_dir": plan.train_dir,
        "test_split": plan.test_split,
        "augmentation": asdict(plan.augmentation),
    }


def from_config(
    config: Mapping[str, Any], architecture: Callable[..., Any] | None = None
) -> tuple[str, Settings]:
    """Read what `to_config` wrote.

    Args:
        config: The content of a run's ``config.json``.
        architecture: The run's architecture function, where no package provides it.

    Returns:
        The folder of the training images, and the settings of the run.

    Raises:
        RunFolderError: The run needs a function that is not given, or another one.
    """
    recorded = _recorded_architecture(config, architecture)
    return config["train_dir"], read_settings({**config, "architecture": recorded})


def _recorded_architecture(
    config: Mapping[str, Any], given: Callable[..., Any] | None
) -> str | Callable[..., Any]:
    """Return the architecture of a run: by its name, or the function that has to be given again.

    What a run folder says is never run: whoever can write into it could run anything.
    """
    recorded = str(config["architecture"])
    if re.fullmatch(ARCHITECTURE_NAME, recorded) is None:
        raise RunFolderError(
            f"The config.json of the run names the architecture {recorded!r}, which is no name of "
            "one: it was changed; train again."
        )
    if config["architecture_installed"]:
        if given is not None:
            raise RunFolderError(
                f"The run was made with the installed architecture {recorded!r}: continue without "
                "--arch (architecture=)."
            )
        return recorded
    if given is None:
        raise RunFolderError(
            f"The run was made with the architecture function {recorded!r} of no package, and a "
            f"run folder does not say what is run: give --arch path/to/file.py:{recorded} "
            "(architecture=function) again."
        )
    loaded = load_architecture(given)
    if loaded.name != recorded:
        raise RunFolderError(
            f"The run was made with the architecture function {recorded!r}, not {loaded.name!r}: "
            "give that one."
        )
    if loaded.source_sha256 != config.get("architecture_sha256"):
        _logger.warning("The source file of %r has changed since the run began.", recorded)
    return given
