"""How a run is made again: the command, and all that its outcome depends on."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from typing import Any

from imgclf.classifiers.bundle import Manifest
from imgclf.data.batches.augmentation import PRESETS, Augmentation
from imgclf.runs.record import RunRecord

__all__ = ["command_words", "reproduction"]

VALUES = {
    "batch_size": "--batch-size", "learning_rate": "--learning-rate", "schedule": "--schedule",
    "optimizer": "--optimizer", "weight_decay": "--weight-decay",
    "label_smoothing": "--label-smoothing", "patience": "--patience", "resize": "--resize",
    "precision": "--precision", "seed": "--seed", "val_dir": "--val", "test_dir": "--test",
    "group_by": "--group-by", "split_file": "--split-file",
}  # fmt: skip
"""Settings that a flag takes as they are; None leaves the flag out."""

FINE_TUNING = {
    "fine_tune_epochs": "--fine-tune-epochs", "fine_tune_learning_rate": "--fine-tune-rate",
}  # fmt: skip
"""The same, for trainings in two phases."""

SWITCHES = {
    "class_weight": "--balanced", "oversample": "--oversample", "freeze": "--freeze",
    "deterministic": "--deterministic", "strict": "--strict",
}  # fmt: skip

MIXING = ("mixup", "cutmix")
"""Parts of an augmentation that have flags of their own."""


def reproduction(run: RunRecord, manifest: Manifest) -> dict[str, Any]:
    """Return the command that makes this run again, and what it depends on.

    Args:
        run: A finished run.
        manifest: Of its bundle.

    Returns:
        ``command``: its words, each flag with its value in one; ``remarks``: what no flag can say;
        ``facts``: versions, seed and fingerprints.
    """
    versions = manifest.versions
    facts = [
        ("imgclf", versions.imgclf),
        ("keras", versions.keras),
        ("tensorflow", versions.tensorflow),
        ("python", versions.python),
        ("seed", str(run.config["seed"])),
        ("made", manifest.created),
        ("split.csv sha256", manifest.data.split_sha256 or "-" if manifest.data else "-"),
        ("model.imgclf sha256", _file_sha256(run)),
    ]
    words, remarks = command_words(run.config), _remarks(run.config)
    return {"command": words, "remarks": remarks, "facts": facts}


def _file_sha256(run: RunRecord) -> str:
    with (run.folder / "model.imgclf").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def command_words(config: Mapping[str, Any]) -> list[str]:
    """Return the command that chooses what a run's ``config.json`` holds, quoted for a shell.

    Args:
        config: The content of that file.

    Returns:
        ``imgclf train`` with the folder, then each flag together with its value.
    """
    height, width = config["image_size"]
    words = [
        ("imgclf", "train", config["train_dir"]),
        # The averages over weights and mirror images have no flags: the recipe brings them.
        *([("--recipe", "best")] if config.get("average_weights") else []),
        ("--arch", _architecture(config)),
        *(("--set", f"{name}={value}") for name, value in config["options"].items()),
        ("--image-size", f"{height}x{width}"),
        _length(config),
        *_values(config, VALUES),
        *_phases(config),
        *_augmentation(config["augment"]),
        *([("--grey",)] if config["channels"] == 1 else []),
        *((flag,) for name, flag in SWITCHES.items() if config.get(name)),
    ]
    if config.get("accumulate_steps", 1) > 1:
        words.append(("--accumulate", str(config["accumulate_steps"])))
    return [shlex.join(group) for group in words]


def _architecture(config: Mapping[str, Any]) -> str:
    """Return an installed name; of a function of no package the file is the reader's to know."""
    recorded: str = config["architecture"]
    if config.get("architecture_installed", ":" not in recorded):
        return recorded
    return f"path/to/file.py:{recorded.rpartition(':')[2]}"


def _length(config: Mapping[str, Any]) -> tuple[str, str]:
    """Return how long the training was to take: in time, or in epochs."""
    if config.get("budget_s") is not None:
        return ("--budget", f"{config['budget_s']:g}s")
    return ("--epochs", str(config["epochs"]))


def _values(config: Mapping[str, Any], flags: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (flag, str(config[name])) for name, flag in flags.items() if config.get(name) is not None
    ]


def _phases(config: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the flags of a training in two phases, or of one that was kept from it."""
    wanted = config.get("two_phase")
    if wanted is False:
        return [("--one-phase",)]
    is_pretrained = config["options"].get("weights", "none") != "none"
    if not wanted and not is_pretrained:
        return []
    return [*([("--two-phase",)] if wanted else []), *_values(config, FINE_TUNING)]


def _augmentation(stored: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the flags of an augmentation; one made by hand has none, see `_remarks`."""
    preset = _preset(stored)
    mixing = [(f"--{name}", f"{stored[name]:g}") for name in MIXING if stored.get(name)]
    return [*([("--augment", preset)] if preset else []), *mixing]


def _preset(stored: Mapping[str, Any]) -> str | None:
    """Name the preset that gives these values, mixing apart."""
    unmixed = {**stored, **dict.fromkeys(MIXING, 0.0)}
    found = Augmentation(**unmixed)
    return next((name for name, preset in PRESETS.items() if preset == found), None)


def _remarks(config: Mapping[str, Any]) -> list[str]:
    """Say what the command cannot."""
    if _preset(config["augment"]) is not None:
        return []
    return ["The augmentation was made in Python; its values are in config.json."]
