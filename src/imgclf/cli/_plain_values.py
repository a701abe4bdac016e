"""Values of the command line that need no conversion, read without pydantic.

Typer 0.29 converts each value by pydantic, whose import takes a tenth of the time until a photo is
answered. Most values are texts and paths, or were not typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

__all__ = ["read_plainly"]

UNSET = object()


def read_plainly(parameter: Any) -> Any:
    """Let a parameter take plain values as they are; any other goes Typer's way.

    Args:
        parameter: Typer's. One of a Typer that has no `get_runtime_param` stays as it is.

    Returns:
        The parameter.
    """
    makes_converter = getattr(parameter, "get_runtime_param", None)
    is_met = "get_runtime_param" in vars(parameter)
    if makes_converter is not None and not is_met and not _is_checked(parameter):
        plain = _PlainValues(parameter, makes_converter)
        parameter.get_runtime_param = lambda: plain
    return parameter


def _is_checked(parameter: Any) -> bool:
    """Whether Typer checks more of a path than that it is one."""
    info = parameter.type_descriptor.parameter_info
    return bool(info.parser or info.clamp or info.exists or info.resolve_path or info.allow_dash)


class _PlainValues:
    """What Typer asks for a value: the value itself, or what Typer's own converter makes of it."""

    def __init__(self, parameter: Any, makes_converter: Callable[[], Any]) -> None:
        self._makes_converter = makes_converter
        described = parameter.type_descriptor
        self._annotation = described.annotation
        self._least, self._most = described.parameter_info.min, described.parameter_info.max

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value that the verb is called with."""
        plain = self._all(value) if param.multiple or param.nargs == -1 else self._one(value)
        if plain is not UNSET:
            return plain
        return self._makes_converter().coerce(value, param=param, ctx=ctx)

    def _all(self, values: Any) -> Any:
        """Return texts as they are: the only values that a verb takes many of."""
        if values is None:
            return ()
        are_texts = self._annotation == list[str] and isinstance(values, (list, tuple))
        return list(values) if are_texts and all(type(one) is str for one in values) else UNSET

    def _one(self, value: Any) -> Any:
        """Return the value as it is, `UNSET` where it has to be converted."""
        kind = self._annotation
        if value is None or type(value) is kind:
            return value
        if get_origin(kind) is Literal and value in get_args(kind):
            return value
        if kind is Path and isinstance(value, (str, Path)):
            return Path(value)
        if kind is int and isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            return self._within(int(value))
        return UNSET

    def _within(self, number: int) -> Any:
        is_low = self._least is not None and number < self._least
        is_high = self._most is not None and number > self._most
        return UNSET if is_low or is_high else number
