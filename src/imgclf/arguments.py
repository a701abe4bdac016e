"""Arguments of the public functions, checked by kind; a wrong one is one line that names it."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable, Mapping
from typing import Any

from imgclf.errors import ArgumentError

__all__ = [
    "checked_names",
    "checked_path",
    "checked_sides",
    "plain_number",
    "require_number",
    "whole_number",
]


def plain_number(value: Any) -> Any:
    """Turn a number of NumPy into Python's; anything else stays as it is.

    Example:
        >>> plain_number(3), plain_number("3")
        (3, '3')
    """
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    return value


def whole_number(name: str, value: Any, least: int | None = 1) -> int:
    """Return a whole number as Python's.

    Args:
        name: The argument's name, for the message.
        value: What was given.
        least: The smallest one that is accepted; None accepts all.

    Raises:
        ArgumentError: It is none, or too small.

    Example:
        >>> whole_number("epochs", 3)
        3
    """
    plain = plain_number(value)
    if type(plain) is int and (least is None or plain >= least):
        return plain
    accepted = "a whole number" if least is None else f"a whole number of at least {least}"
    raise ArgumentError(f"{name}={value!r} is not accepted: give {accepted}.")


def require_number(
    name: str,
    value: Any,
    low: float,
    high: float = math.inf,
    *,
    accepted: str,
    low_included: bool = True,
    high_included: bool = False,
) -> float:
    """Return a number within bounds as Python's.

    Args:
        name: The argument's name, for the message.
        value: What was given.
        low: The lower bound.
        high: The upper bound.
        accepted: What is accepted, in words.
        low_included: Whether the lower bound itself is accepted.
        high_included: Whether the upper bound itself is accepted.

    Raises:
        ArgumentError: It is no number, or out of bounds.

    Example:
        >>> require_number("val_split", 0.2, 0, 1, accepted="a number from 0 to 1")
        0.2
    """
    plain = plain_number(value)
    if isinstance(plain, (int, float)) and not isinstance(plain, bool):
        above = plain >= low if low_included else plain > low
        below = plain <= high if high_included else plain < high
        if above and below:
            return float(plain)
    raise ArgumentError(f"{name}={value!r} is not accepted: give {accepted}.")


def checked_sides(value: Any, name: str = "image_size") -> tuple[int, int]:
    """Return height and width; one number is a square.

    Raises:
        ArgumentError: It is neither one whole number of pixels nor two.

    Example:
        >>> checked_sides(96), checked_sides([48, 64])
        ((96, 96), (48, 64))
    """
    is_one = isinstance(plain_number(value), (int, float))
    sides: Any = (value, value) if is_one else value
    if not isinstance(sides, str | bytes | Mapping) and isinstance(sides, Iterable):
        found = tuple(plain_number(side) for side in sides)
        if len(found) == 2 and all(type(side) is int and side >= 1 for side in found):
            return found
    raise ArgumentError(
        f"{name}={value!r} is not accepted: give the side of a square in pixels, such as 96, or "
        "(height, width), such as (96, 128)."
    )


def checked_path(name: str, value: Any) -> str:
    """Return a path as text.

    Raises:
        ArgumentError: It is none.

    Example:
        >>> checked_path("train_dir", "photos")
        'photos'
    """
    if not isinstance(value, (str, os.PathLike)):
        raise ArgumentError(
            f"{name} is {type(value).__name__}, not a path: give the path of a folder or file."
        )
    return os.fsdecode(value)


def checked_names(name: str, value: Any, accepted: str) -> tuple[str, ...]:
    """Return a sequence of texts; one text is a sequence of one.

    Args:
        name: The argument's name, for the message.
        value: What was given.
        accepted: What is accepted, in words.

    Raises:
        ArgumentError: It holds anything but texts.

    Example:
        >>> checked_names("tune", "filters", "names")
        ('filters',)
    """
    listed = (value,) if isinstance(value, str) else value
    if isinstance(listed, Iterable) and not isinstance(listed, (Mapping, bytes)):
        names = tuple(listed)
        if all(isinstance(item, str) for item in names):
            return names
    raise ArgumentError(f"{name}={value!r} is not accepted: give {accepted}.")
