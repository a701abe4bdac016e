"""Parameters that several verbs share, and how their text is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from imgclf.errors import DataNotFoundError
from imgclf.options import Value, parse_option
from imgclf.registry import load_architecture

__all__ = [
    "BundlePath",
    "JsonFlag",
    "MinPrecision",
    "parse_image_size",
    "parse_options",
    "require_path",
]

BundlePath = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .imgclf file.")]
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
