"""Parameters that several verbs share, and how their text is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from imgclf.errors import ArgumentError, DataNotFoundError
from imgclf.options import Value, parse_option
from imgclf.registry import load_architecture

__all__ = [
    "BundlePath",
    "JsonFlag",
    "MinPrecision",
    "SettingsFile",
    "parse_image_size",
    "parse_options",
    "require_path",
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
        "balanced": settings["class_weight"] == "balanced",
        **{
            name: settings[name]
            for name in (
                "resize", "epochs", "batch_size", "learning_rate", "schedule", "optimizer",
                "augment", "precision", "seed", "patience",
            )
            if settings[name] is not None
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


def parse_options(architecture: str, assignments: Sequence[str]) -> dict[str, Value]:
    """Check an architecture's name and its ``--set name=value`` options, without TensorFlow."""
    loaded = load_architecture(architecture)
    return dict(parse_option(loaded.name, loaded.options, text) for text in assignments)


def require_path(path: Path) -> None:
    """Refuse a path that does not exist, before anything heavy is imported."""
    if not path.exists():
        raise DataNotFoundError(f"{path} does not exist: check the path.")
