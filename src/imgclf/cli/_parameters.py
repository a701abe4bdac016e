"""Parameters that several verbs share, and how their text is read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from imgclf.errors import ArgumentError, DataNotFoundError
from imgclf.options import Value, Weights, parse_option
from imgclf.zoo.isolation import load_function
from imgclf.zoo.registry import list_architectures, load_architecture

__all__ = [
    "ArchitectureFile",
    "ArchitectureName",
    "BalancedFlag",
    "BundlePath",
    "GreyFlag",
    "JsonFlag",
    "MinPrecision",
    "Resize",
    "SettingsFile",
    "TestFolder",
    "ValFolder",
    "complete_architecture",
    "parse_architecture",
    "parse_architecture_file",
    "parse_batch_size",
    "parse_budget",
    "parse_image_size",
    "parse_learning_rate",
    "parse_options",
    "require_path",
]

SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def complete_architecture(incomplete: str) -> list[str]:
    """Complete an architecture's name in the shell, or the last one of several with commas."""
    before, comma, last = incomplete.rpartition(",")
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
        help="The architecture of a classifier whose network no package provides; the file is run.",
    ),
]
BundlePath = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .imgclf file.")]


def _take_settings(context: typer.Context, path: Path | None) -> None:
    """Let the settings of a ``best.json`` be the defaults: what is typed beside it wins."""
    if path is None:
        return
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["settings"]
        context.default_map = {**(context.default_map or {}), **_as_parameters(settings)}
    except FileNotFoundError:
        raise DataNotFoundError(f"{path} does not exist: check the path.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(
            f"{path} holds no settings ({type(error).__name__}: {error}): give the best.json of "
            "a study."
        ) from error


def _as_parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """Write settings as the parameters of `imgclf train` take them."""
    height, width = settings["image_size"]
    if not isinstance(settings["augment"], str) or settings["data_format"] != "channels_last":
        raise ValueError("an augmentation or data_format that only Python can give")
    return {
        "arch": settings["architecture"],
        "set_": [f"{name}={value}" for name, value in settings["options"].items()],
        "image_size": f"{height}x{width}",
        "grey": settings["channels"] == 1,
        # A trial names all that it has; averaging alone has no option of its own.
        "recipe": "best" if settings.get("average_weights") else "recipe",
        "balanced": settings["class_weight"] == "balanced",
        **{
            name: settings[name]
            for name in (
                "resize", "epochs", "batch_size", "learning_rate", "schedule", "optimizer",
                "augment", "precision", "seed", "patience", "weight_decay", "label_smoothing",
            )
            if settings.get(name) is not None
        },
    }  # fmt: skip


SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--options",
        metavar="BEST.JSON",
        is_eager=True,  # before the others, whose defaults it decides
        callback=_take_settings,
        help="Settings that `imgclf tune` found; options beside it go before them.",
    ),
]
BalancedFlag = Annotated[
    bool, typer.Option("--balanced", help="Let rare classes count as much as frequent ones.")
]
GreyFlag = Annotated[bool, typer.Option("--grey", help="Read images in grey.")]
Resize = Annotated[
    Literal["stretch", "crop", "pad"], typer.Option(help="How images are fitted to the size.")
]
ValFolder = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of the validation images.")
]
TestFolder = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the test images.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
MinPrecision = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE", help="Be unsure where fewer than this share would be right, e.g. 0.95."
    ),
]


def parse_image_size(text: str) -> tuple[int, int]:
    """Read ``96`` or ``96x128`` (height x width) as ``(height, width)``."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdigit() for side in sides):
        raise typer.BadParameter(f"{text!r} is no image size: write 96 or 96x128, height first.")
    return int(sides[0]), int(sides[-1])


def parse_batch_size(text: str | None) -> int | None:
    """Read a number of images; ``auto`` begins with the recipe's."""
    if text is None or text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is no batch size: write a number from 1 on, or auto.")
    return int(text)


def parse_budget(text: str | None) -> float | None:
    """Read ``90s``, ``20m``, ``1.5h`` or a number of seconds."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip().lower())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no time: write 90s, 20m or 1.5h.")
    return float(match[1]) * SECONDS[match[2]]


def parse_learning_rate(text: str | None) -> float | Literal["auto"] | None:
    """Read a rate, or ``auto``."""
    if text is None or text == "auto":
        return None if text is None else "auto"
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no learning rate: write a number such as 1e-3, or auto."
        ) from None


def parse_architecture(text: str) -> str | Callable[..., Any]:
    """Read an architecture that was typed: a name, or ``path/to/file.py:function``, which is run.

    Only for what stands on the command line: a text that comes out of a file never gets here, it
    goes to `load_architecture`, which runs no file.

    Args:
        text: What was typed.

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


def parse_options(
    architecture: str | Callable[..., Any], assignments: Sequence[str]
) -> dict[str, Value]:
    """Check an architecture's name and its ``--set name=value`` options, without TensorFlow."""
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
