"""The keywords of a public function, made from the table of settings."""

from __future__ import annotations

import functools
import inspect
import os
import textwrap
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from imgclf.runs.settings import SettingField, setting_fields

__all__ = ["keywords_of", "show_keywords"]

Keywords = ParamSpec("Keywords")
Result = TypeVar("Result")
Directory = str | os.PathLike[str]


def keywords_of(
    table: Callable[Keywords, object],
) -> Callable[
    [Callable[Concatenate[Directory, ...], Result]],
    Callable[Concatenate[Directory, Keywords], Result],
]:
    """Give ``function(directory, **given)`` the keywords of a dataclass.

    Type checkers, ``help()`` and completion see every keyword with its type and default.

    Args:
        table: A dataclass of keyword-only fields; its settings are described in the docstring.

    Returns:
        A decorator.
    """

    def decorate(
        function: Callable[Concatenate[Directory, ...], Result],
    ) -> Callable[Concatenate[Directory, Keywords], Result]:
        @functools.wraps(function)
        def called(
            directory: Directory, /, *args: Keywords.args, **given: Keywords.kwargs
        ) -> Result:
            return function(directory, *args, **given)

        show_keywords(called, inspect.signature(table).parameters)
        return called

    return decorate


def show_keywords(
    function: Callable[..., Any], keywords: Any, *, leave_out: tuple[str, ...] = ()
) -> None:
    """Let ``inspect.signature`` and the docstring of a function name keywords that it forwards.

    Args:
        function: A function that ends in ``**given``; its docstring has an ``Args:`` section that
            ends in the line ``**given: ...``.
        keywords: Parameters by name, as `inspect.signature` returns them.
        leave_out: Names that it does not take.
    """
    signature = inspect.signature(function)
    own = [item for item in signature.parameters.values() if item.kind is not item.VAR_KEYWORD]
    table = {item.name: item for item in setting_fields() if item.setting.group}
    taken = {item.name for item in own} | set(leave_out)
    forwarded = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in keywords.items()
        if name not in taken and (name in table or not hasattr(_settings_class(), name))
    ]
    function.__signature__ = signature.replace(parameters=[*own, *forwarded])  # type: ignore[attr-defined]
    described = [table[item.name] for item in forwarded if item.name in table]
    lines = "\n".join(_described(item) for item in described)
    head, _, tail = inspect.cleandoc(function.__doc__ or "").partition("    **given: ")
    function.__doc__ = head + lines + "\n" + tail.partition("\n")[2]


def _settings_class() -> type:
    from imgclf.runs.settings import Settings

    return Settings


def _described(item: SettingField) -> str:
    default = item.setting.default_text
    text = item.setting.help + (f" By default {default}." if default else "")
    return textwrap.fill(
        f"{item.name}: {text}", 100, initial_indent="    ", subsequent_indent="        "
    )
