"""Dimensions of a search space: a name and the values to try."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from imgclf.errors import ArgumentError
from imgclf.options import Choice, Float, Int, Option, Value

__all__ = [
    "HEAD_NAMES", "TRAINING_OPTIONS", "Dimension", "default_dimension", "find_option",
    "parse_dimension",
]  # fmt: skip

TRAINING_OPTIONS = (
    Option("learning_rate", Float(1e-7, 10.0, log=True), 1e-3),
    Option(
        "optimizer",
        Choice(search=["adam", "adamw", "rmsprop", "sgd"],  # muon has rates of its own
               values=["adam", "adamw", "rmsprop", "sgd", "muon"]),
        "adam",
    ),
    Option("batch_size", Int(1, 8192, search=[16, 32, 64, 128]), 32),
    Option(
        "augment",
        Choice(search=["none", "classic", "light", "strong"],
               values=["none", "classic", "light", "strong"]),
        "light",
    ),
    # A side of a square; every size has its own decoded pixels, so sizes are listed one by one.
    Option("image_size", Int(8, 4096, search=[64, 96, 128]), 96),
    Option("head_penalty", Float(1e-4, 1.0, log=True), 0.01),
    Option("head_copies", Choice(values=["none", "mirrored", "shifted"]), "none"),
)  # fmt: skip
"""Options of the training that can be searched, beside those of the architectures. A test compares
them with what `fit` and the augmentation presets accept."""

HEAD_NAMES = ("head_penalty", "head_copies")
"""Options of a linear head on frozen features; its solver knows no others."""

USUAL_RATE = 1e-3
"""Adam's usual learning rate."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension of a search space: listed values, or a range.

    Attributes:
        name: An option of the architecture, or one of `TRAINING_OPTIONS`.
        values: The listed values; empty for a range.
        low: Lower end of the range, included.
        high: Upper end of the range, included.
        log: Whether the range has a logarithmic scale.
        whole: Whether the range has whole numbers only.
        architecture: The architecture whose option it is; None for a training option.
    """

    name: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    architecture: str | None = None

    @property
    def key(self) -> str:
        """A name that is unique in the space, such as ``resnet9.filters``."""
        return f"{self.architecture}.{self.name}" if self.architecture else self.name

    @property
    def text(self) -> str:
        """The values as ``--space`` takes them."""
        if self.values:
            return ",".join(map(str, self.values))
        return f"{self.low:g}..{self.high:g}" + (":log" if self.log else "")

    def grid(self, most: int) -> tuple[Value, ...]:
        """Return the listed values, or `most` evenly spaced values of the range, ends included."""
        if self.values:
            return self.values
        shares = [step / (most - 1) for step in range(most)]
        if self.log:
            points = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            points = [self.low + share * (self.high - self.low) for share in shares]
        # Three significant digits are enough, and readable.
        rounded = [round(point) if self.whole else float(f"{point:.3g}") for point in points]
        return tuple(dict.fromkeys(rounded))


def default_dimension(
    option: Option, architecture: str | None = None, *, learning_rate: float = USUAL_RATE
) -> Dimension:
    """Return the default dimension of an option: its ``search=`` values, or its whole range.

    For the learning rate it is a tenth to ten times `learning_rate`.
    """
    if option.name == "learning_rate" and architecture is None:
        ends = (float(f"{learning_rate * factor:.3g}") for factor in (0.1, 10))
        low, high = (min(max(end, 1e-7), 10.0) for end in ends)
        return Dimension(option.name, low=low, high=high, log=True)
    if isinstance(option.range, Choice):
        values = option.range.search or option.range.values
        return Dimension(option.name, tuple(values), architecture=architecture)
    if option.range.search:
        return Dimension(option.name, tuple(option.range.search), architecture=architecture)
    return Dimension(
        option.name,
        low=option.range.minimum,
        high=option.range.maximum,
        log=option.range.log,
        whole=isinstance(option.range, Int),
        architecture=architecture,
    )


def parse_dimension(option: Option, text: str, architecture: str | None = None) -> Dimension:
    """Read ``16,32,64``, ``1e-4..1e-2`` or ``1e-4..1e-2:log`` for an option.

    Args:
        option: The option that is searched; its range decides what is valid.
        text: The values.
        architecture: The architecture whose option it is; None for a training option.

    Returns:
        The dimension.

    Raises:
        ArgumentError: The text is malformed, or a value is out of the option's range.
    """
    body, _, mark = text.strip().partition(":")
    if mark not in ("", "log"):
        raise _refusal(option, text, f"{mark!r} after the colon: only 'log' may stand there")
    if ".." in body:
        return _parse_range(option, body, log=mark == "log", architecture=architecture)
    if mark:
        raise _refusal(option, text, "'log' without a range")
    values = tuple(_parse_value(option, item, text) for item in body.split(","))
    return Dimension(option.name, tuple(dict.fromkeys(values)), architecture=architecture)


def _parse_range(option: Option, body: str, *, log: bool, architecture: str | None) -> Dimension:
    if isinstance(option.range, Choice):
        raise _refusal(option, body, "it has no range: list its values")
    if option.name == "image_size" and architecture is None:
        raise _refusal(option, body, "list the sizes: each one is decoded by itself")
    low, high = (
        cast("float", _parse_value(option, item, body)) for item in body.split("..", maxsplit=1)
    )
    # The scale is the option's own, unless the text asks for a logarithmic one.
    log = log or option.range.log
    if not low < high:
        raise _refusal(option, body, "the lower end comes first")
    if log and not low > 0:
        raise _refusal(option, body, "a logarithmic range begins above 0")
    whole = isinstance(option.range, Int)
    return Dimension(
        option.name, low=low, high=high, log=log, whole=whole, architecture=architecture
    )


def _parse_value(option: Option, item: str, text: str) -> Value:
    try:
        value = option.range.parse(item.strip())
    except ValueError:
        value = item.strip()
    if not option.range.accepts(value) or (isinstance(value, float) and not math.isfinite(value)):
        raise _refusal(option, text, f"{value!r} is not {option.range.accepted}")
    return value


def _refusal(option: Option, text: str, why: str) -> ArgumentError:
    return ArgumentError(
        f"The search space {option.name}={text} is not accepted, {why}. "
        "Write name=16,32,64 or name=1e-4..1e-2:log."
    )


def find_option(options: Sequence[Option], name: str) -> Option | None:
    """Return the option of this name, if there is one."""
    return next((option for option in options if option.name == name), None)
