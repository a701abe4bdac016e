"""The kinds of values that a setting takes: what is valid, and how it is written in text."""

from __future__ import annotations

import math
import numbers
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from imgclf.arguments import plain_number
from imgclf.options import Choice, Float, Int

__all__ = [
    "ArchitectureKind",
    "AugmentationKind",
    "DurationKind",
    "ImageSizeKind",
    "Kind",
    "LearningRateKind",
    "OptionsKind",
    "PathKind",
    "RangeKind",
    "TextKind",
]

SECONDS_PER_UNIT = {"": 1, "s": 1, "m": 60, "h": 3600}


class Kind(Protocol):
    """Checks one kind of value; `checked` and `parse` raise ValueError at anything else."""

    @property
    def accepted(self) -> str:
        """What is valid, in words."""

    def checked(self, value: Any) -> Any:
        """Return a value in its usual form."""

    def parse(self, text: str) -> Any:
        """Read a value from a command line."""


@dataclass(frozen=True, slots=True)
class RangeKind:
    """A number within bounds, or one of a few values.

    Attributes:
        range: The bounds or values.
    """

    range: Int | Float | Choice

    @property
    def accepted(self) -> str:
        """What is valid, in words."""
        return self.range.accepted

    def checked(self, value: Any) -> Any:
        """Return the value; numbers of NumPy become Python's."""
        plain = plain_number(value)
        if not self.range.accepts(plain):
            raise ValueError(value)
        return float(plain) if isinstance(self.range, Float) else plain

    def parse(self, text: str) -> Any:
        """Read a number or one of the values."""
        return self.range.parse(text)


@dataclass(frozen=True, slots=True)
class ImageSizeKind:
    """``(height, width)`` in pixels; one number is a square."""

    accepted: str = "the side of a square in pixels, such as 96, or (height, width)"

    def checked(self, value: Any) -> tuple[int, int]:
        """Return height and width."""
        sides = (value, value) if isinstance(value, numbers.Integral) else value
        if not isinstance(sides, (tuple, list)) or len(sides) != 2:
            raise ValueError(value)
        height, width = (plain_number(side) for side in sides)
        if not all(type(side) is int and side >= 1 for side in (height, width)):
            raise ValueError(value)
        return height, width

    def parse(self, text: str) -> tuple[int, int]:
        """Read ``96``, or ``96x128``: height first."""
        sides = text.lower().split("x")
        if len(sides) > 2:
            raise ValueError(text)
        return self.checked((int(sides[0]), int(sides[-1])))


@dataclass(frozen=True, slots=True)
class DurationKind:
    """A time, kept in seconds."""

    accepted: str = "seconds above 0, or a text such as '90s', '20m' or '1.5h'"

    def checked(self, value: Any) -> float:
        """Return seconds."""
        if isinstance(value, str):
            return self.parse(value)
        seconds = plain_number(value)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise ValueError(value)  # noqa: TRY004 - all kinds refuse alike
        if not 0 < seconds < math.inf:
            raise ValueError(value)
        return float(seconds)

    def parse(self, text: str) -> float:
        """Read ``90s``, ``20m``, ``1.5h`` or a number of seconds."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip().lower())
        if match is None:
            raise ValueError(text)
        return self.checked(float(match[1]) * SECONDS_PER_UNIT[match[2]])


@dataclass(frozen=True, slots=True)
class LearningRateKind:
    """A learning rate, or ``"auto"``, which measures one."""

    accepted: str = "a number above 0 such as 1e-3, or 'auto'"

    def checked(self, value: Any) -> float | str:
        """Return the rate."""
        if value == "auto":
            return "auto"
        rate = plain_number(value)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < math.inf:
            raise ValueError(value)
        return float(rate)

    def parse(self, text: str) -> float | str:
        """Read a number or ``auto``."""
        return "auto" if text == "auto" else self.checked(float(text))


@dataclass(frozen=True, slots=True)
class TextKind:
    """Any text."""

    accepted: str = "a text"

    def checked(self, value: Any) -> str:
        """Return the text."""
        if not isinstance(value, str):
            raise ValueError(value)  # noqa: TRY004 - all kinds refuse alike
        return value

    def parse(self, text: str) -> str:
        """Return the text."""
        return text


@dataclass(frozen=True, slots=True)
class PathKind:
    """The path of a file or folder, kept absolute."""

    accepted: str = "a path"

    def checked(self, value: Any) -> str:
        """Return the absolute path; links are kept."""
        if not isinstance(value, (str, os.PathLike)):
            raise ValueError(value)  # noqa: TRY004 - all kinds refuse alike
        return os.path.abspath(os.fsdecode(value))  # noqa: PTH100 - resolve() would follow links

    def parse(self, text: str) -> str:
        """Return the absolute path."""
        return self.checked(text)


@dataclass(frozen=True, slots=True)
class ArchitectureKind:
    """The name of an architecture, or an architecture function."""

    accepted: str = "the name of an architecture, or an architecture function"

    def checked(self, value: Any) -> Any:
        """Return the name or function."""
        if not (isinstance(value, str) or callable(value)):
            raise ValueError(value)  # noqa: TRY004 - all kinds refuse alike
        return value

    def parse(self, text: str) -> str:
        """Return the name."""
        return text


@dataclass(frozen=True, slots=True)
class OptionsKind:
    """Options of the architecture, by name; their own bounds are checked where it is known."""

    accepted: str = "a mapping of option names to values"

    def checked(self, value: Any) -> dict[str, Any]:
        """Return a copy of the mapping."""
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise ValueError(value)
        return {name: plain_number(item) for name, item in value.items()}

    def parse(self, text: str) -> dict[str, Any]:
        """Refuse text: what an option's text means is known to its architecture alone."""
        raise ValueError(text)


@dataclass(frozen=True, slots=True)
class AugmentationKind:
    """A preset's name, or an `imgclf.Augmentation`.

    Attributes:
        presets: Names of the presets.
    """

    presets: tuple[str, ...]

    @property
    def accepted(self) -> str:
        """What is valid, in words."""
        return "one of " + ", ".join(map(repr, self.presets)) + ", or an imgclf.Augmentation"

    def checked(self, value: Any) -> Any:
        """Return the name or the augmentation."""
        if isinstance(value, str):
            return self.parse(value)
        if type(value).__name__ != "Augmentation":  # its room loads NumPy and OpenCV
            raise ValueError(value)
        return value

    def parse(self, text: str) -> str:
        """Return the preset's name."""
        if text not in self.presets:
            raise ValueError(text)
        return text
