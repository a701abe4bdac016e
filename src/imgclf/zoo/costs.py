"""What the built-in networks cost: measured once, so that listing them builds none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files

__all__ = ["Cost", "known_costs"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Size and work of a network with default options, for colour images of 96 x 96 in ten classes.

    Attributes:
        parameters: Number of weights.
        mflop: Millions of additions and multiplications for an image; None where they could not be
            counted.
    """

    parameters: int
    mflop: int | None


def known_costs() -> dict[str, Cost]:
    """Return the costs of the built-in architectures by name; ``tools/measure_zoo.py`` has them."""
    text = files("imgclf.zoo").joinpath("costs.json").read_text(encoding="utf-8")
    return {name: Cost(**values) for name, values in json.loads(text).items()}
