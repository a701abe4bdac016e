"""A drawing: boxes, lines, dots and texts on a sheet, described once for whatever shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from imgclf.machine.plain_text import printable

__all__ = ["Anchor", "Box", "Dot", "Drawing", "Line", "Point", "Shape", "Text", "Tone"]

Tone = Literal["ink", "soft", "line", "paper", "accent", "wrong"]
"""What a colour is for: each theme of a page has its own ink."""

Anchor = Literal["start", "middle", "end"]

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle; `strength`, 0 to 1, is how much of its colour covers the paper."""

    left: float
    top: float
    width: float
    height: float
    tone: Tone
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """Straight pieces from point to point."""

    points: Sequence[Point]
    tone: Tone
    width: float = 1.0
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """A filled circle."""

    x: float
    y: float
    radius: float
    tone: Tone


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text.

    Attributes:
        text: What steers in it is written as escapes.
        x: Where it starts, has its middle or ends.
        y: Its base line. Of a turned text, which is written upwards, `x` is the base line, and `y`
            where it starts, has its middle or ends.
        size: Height of a line.
        tone: Its colour.
        weight: 400 is regular, 600 bold.
        anchor: Which part of the text stands at the place.
        is_turned: Whether it is written upwards.
    """

    text: str
    x: float
    y: float
    size: float = 13
    tone: Tone = "ink"
    weight: int = 400
    anchor: Anchor = "start"
    is_turned: bool = False

    def __post_init__(self) -> None:
        """Make the text one that nothing can mistake for anything else."""
        object.__setattr__(self, "text", printable(self.text, is_name=True))


Shape: TypeAlias = "Box | Line | Dot | Text"


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes on a sheet, the later ones above the earlier; a unit is a pixel on a plain screen.

    Attributes:
        title: What it shows, in a few words.
        width: Of the sheet.
        height: Of the sheet.
        shapes: What is on it.
    """

    title: str
    width: float
    height: float
    shapes: list[Shape] = field(default_factory=list)

    def add(self, *shapes: Shape) -> None:
        """Put shapes on the sheet."""
        self.shapes.extend(shapes)
