"""How a run is made again: the command, and all that its outcome depends on."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgclf.classifiers.bundle import Manifest
from imgclf.errors import ImgclfError
from imgclf.machine.terminal import shell_word
from imgclf.options import WITHOUT_WEIGHTS, is_pretrained
from imgclf.reports.label_issues import count_written_issues
from imgclf.runs.folder import BUNDLE_NAME, sha256_of
from imgclf.runs.record import RunRecord
from imgclf.runs.run_names import PARENT_NAME
from imgclf.runs.settings import AUTOMATIC, SettingField, setting_fields
from imgclf.zoo.registry import load_architecture

__all__ = ["command_words", "reproduction", "uses"]


def reproduction(run: RunRecord, manifest: Manifest) -> dict[str, Any]:
    """Return the command that makes this run again, and what it depends on.

    Args:
        run: A finished run.
        manifest: Of its classifier's file.

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
        ("model.imgclf sha256", sha256_of(run.folder / BUNDLE_NAME)),
    ]
    words, remarks = command_words(run.config), _remarks(run.config)
    return {"command": words, "remarks": remarks, "facts": facts}


def command_words(config: Mapping[str, Any]) -> list[str]:
    """Return the command that chooses what a run's ``config.json`` holds, quoted for a shell.

    Args:
        config: The content of that file.

    Returns:
        ``imgclf train`` with the folder, then each flag together with its value.
    """
    words: list[tuple[str, ...]] = [("imgclf", "train", str(config["train_dir"]))]
    if config["architecture"] != AUTOMATIC:
        words.append(("--arch", _architecture(config)))
    told = {"architecture", *_undecided(config)}
    for item in setting_fields():
        if item.setting.group and item.name in config and item.name not in told:
            words += _flags(item, config[item.name])
    return [" ".join(map(shell_word, group)) for group in words]


def uses(run: RunRecord) -> list[dict[str, Any]]:
    """Return what to do with a run's classifier, each with its command.

    Args:
        run: A finished run.

    Returns:
        ``what`` and ``command``, the words of the command, of each.
    """
    folder = shell_word(_typed(run.folder))
    by_hand = (
        () if run.config["architecture_installed"] else (f"--arch {_architecture(run.config)}",)
    )
    commands = [
        ("Classify photos", "predict", "PHOTO.jpg"),
        ("Measure it on other photos", "evaluate", "FOLDER"),
        ("One page that classifies, for a phone", "export", "--format web"),
    ]
    if count_written_issues(run.folder):
        commands.append(("Correct wrong labels, once suspects.csv is filled in", "relabel", ""))
    return [
        {
            "what": what,
            "command": [
                *filter(None, ("imgclf", verb, folder, rest)),
                *(by_hand if verb != "relabel" else ()),
            ],
        }
        for what, verb, rest in commands
    ]


def _typed(folder: Path) -> str:
    """Return a run folder as it is typed where it lies: no report names the folders above it."""
    whole = folder.resolve()  # runs/last will lead to another run.
    return f"{PARENT_NAME}/{whole.name}" if whole.parent.name == PARENT_NAME else whole.name


def _undecided(config: Mapping[str, Any]) -> set[str]:
    """Name the settings that decided nothing in a run."""
    names = {"recipe"}  # what it chose is told one by one
    if config.get("budget") is not None:
        names.add("epochs")
    if not _trains_a_head_first(config):
        names |= {"fine_tune_epochs", "fine_tune_learning_rate"}
    return names


def _architecture(config: Mapping[str, Any]) -> str:
    """Return an installed name; of a function of no package the file is the reader's to know."""
    name: str = config["architecture"]
    return name if config["architecture_installed"] else f"path/to/file.py:{name}"


def _flags(item: SettingField, value: Any) -> list[tuple[str, ...]]:
    """Return the words of one setting; none for its default."""
    flag = item.setting.short[0] if item.setting.short else item.flag
    if value is None or value == item.default or isinstance(value, Mapping):
        options = value if item.name == "options" and isinstance(value, Mapping) else {}
        return [(flag, f"{name}={text}") for name, text in options.items()]
    if item.is_switch:
        return [(item.flag,) if value else (f"--no-{item.flag.removeprefix('--')}",)]
    if item.name == "image_size":
        return [(flag, "x".join(map(str, value)))]
    if item.name == "budget":
        return [(flag, f"{value:g}s")]
    return [(flag, f"{value:g}" if isinstance(value, float) else str(value))]


def _trains_a_head_first(config: Mapping[str, Any]) -> bool:
    wanted = config.get("two_phase")
    return _begins_pretrained(config) if wanted is None else bool(wanted)


def _begins_pretrained(config: Mapping[str, Any]) -> bool:
    """Tell whether a run's network had pretrained weights, be it by its architecture's default."""
    options = config["options"]
    if config["architecture_installed"]:
        with contextlib.suppress(ImgclfError):  # The run may be older than what is installed.
            return is_pretrained(load_architecture(config["architecture"]).options, options)
    return bool(options.get("weights", WITHOUT_WEIGHTS) != WITHOUT_WEIGHTS)


def _remarks(config: Mapping[str, Any]) -> list[str]:
    """Say what the command cannot."""
    remarks = []
    if config["architecture"] == AUTOMATIC:
        remarks.append("What is tried depends on the time that this machine takes.")
    if isinstance(config.get("augment"), Mapping):
        remarks.append("The augmentation was made in Python; its values are in config.json.")
    return remarks
