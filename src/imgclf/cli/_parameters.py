"""Parameters that several verbs share, and how their text is read."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from imgclf.engines.engine_names import EngineName
from imgclf.errors import DataNotFoundError
from imgclf.machine.terminal import shell_word
from imgclf.options import Value, Weights, parse_option
from imgclf.runs.folder import BUNDLE_NAME
from imgclf.runs.run_names import follow_newest
from imgclf.runs.setting_kinds import DurationKind
from imgclf.zoo.isolation import load_function

__all__ = [
    "CLASSIFIER_SUFFIX",
    "ArchitectureFile",
    "ArchitectureName",
    "ClassifierFile",
    "EngineOption",
    "JsonFlag",
    "MinPrecision",
    "architecture_flag",
    "complete_architecture",
    "find_classifier",
    "parse_architecture",
    "parse_architecture_file",
    "parse_budget",
    "parse_options",
    "require_path",
]

CLASSIFIER_SUFFIX = ".imgclf"
"""How the names of classifiers' files end."""


def complete_architecture(incomplete: str) -> list[str]:
    """Complete an architecture's name in the shell, or the last one of several with commas."""
    before, comma, last = incomplete.rpartition(",")
    from imgclf.zoo.registry import list_architectures

    return [before + comma + name for name in list_architectures() if name.startswith(last)]


ArchitectureName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="An installed architecture, or path/to/file.py:function.",
        autocompletion=complete_architecture,
    ),
]
ArchitectureFile = Annotated[
    str | None,
    typer.Option(
        "--arch",
        metavar="FILE.PY:FUNCTION",
        help="Architecture, for a classifier of a function in a file; the file is run.",
    ),
]
EngineOption = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="litert (no TensorFlow), keras, onnx, openvino, or auto: litert, else keras.",
    ),
]


def find_classifier(path: Path | None) -> Path | None:
    """Return the classifier's file of a run folder; any other path, and none, as it is."""
    if path is None:
        return None
    folder = follow_newest(path)
    inside = folder / BUNDLE_NAME
    return inside if folder.is_dir() and inside.is_file() else path


ClassifierFile = Annotated[
    Path,
    typer.Argument(
        metavar="CLASSIFIER",
        help="The classifier's file (.imgclf), or the folder of its run, such as runs/last.",
        callback=find_classifier,
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
MinPrecision = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help='Abstain ("unsure") to reach this precision, such as 0.95.'),
]


def parse_budget(text: str | None) -> float | None:
    """Read ``90s``, ``20m``, ``1.5h`` or a number of seconds."""
    try:
        return None if text is None else DurationKind().parse(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time: write 90s, 20m or 1.5h.") from None


def parse_architecture(text: str) -> str | Callable[..., Any]:
    """Read an architecture: a name, or ``path/to/file.py:function``, whose file is run.

    Only for text from the command line. Text from a file goes to `load_architecture`, which runs
    no code.

    Args:
        text: Text from the command line.

    Returns:
        The name as it is, or the function.

    Raises:
        UnknownArchitectureError: The file does not exist or has no such function.
        PluginError: The file raises when it is imported.
    """
    file = re.fullmatch(r"(.+\.py):(\w+)", text)
    return load_function(Path(file[1]), file[2]) if file else text


def parse_architecture_file(text: str | None) -> Callable[..., Any] | None:
    """Read ``path/to/file.py:function``, as `parse_architecture` does; names are refused."""
    architecture = None if text is None else parse_architecture(text)
    if isinstance(architecture, str):
        raise typer.BadParameter(
            f"{text!r} is no function of a file: write path/to/file.py:function. An installed "
            "architecture is found by itself."
        )
    return architecture


def architecture_flag(architecture: object) -> str:
    """Return the flag that the next command needs for a function of a file; empty for a name."""
    if not inspect.isfunction(architecture):
        return ""
    file = inspect.getsourcefile(architecture) or "path/to/file.py"
    typed = shell_word(f"{os.path.relpath(file)}:{architecture.__name__}")
    return f" --arch {typed}"


def parse_options(
    architecture: str | Callable[..., Any], assignments: Sequence[str]
) -> dict[str, Value]:
    """Check an architecture's name and its ``--set name=value`` options, without TensorFlow."""
    from imgclf.zoo.registry import load_architecture

    loaded = load_architecture(architecture)
    given = dict(parse_option(loaded.name, loaded.options, text) for text in assignments)
    for option in loaded.options:
        value = given.get(option.name)
        if isinstance(option.range, Weights) and option.range.names_file(value):
            path = Path(str(value))
            require_path(path)
            given[option.name] = str(path.absolute())  # found again from any folder, on --resume
    return given


def require_path(path: Path) -> None:
    """Refuse a path that does not exist, before anything heavy is imported."""
    if not path.exists():
        raise DataNotFoundError(f"{path} does not exist: check the path.")
