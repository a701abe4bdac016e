"""Command-line options for the settings of a training, made from the table of settings."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from imgclf.cli._parameters import complete_architecture, parse_architecture, parse_options
from imgclf.errors import ArgumentError, DataNotFoundError
from imgclf.options import Int
from imgclf.runs.setting_kinds import RangeKind
from imgclf.runs.settings import AUTOMATIC, GROUPS, SettingField, setting_fields

__all__ = [
    "ADVANCED",
    "COMMON",
    "RETRAINING",
    "SettingsFile",
    "read_settings_file",
    "with_settings",
]

COMMON, RETRAINING, ADVANCED = GROUPS[0], GROUPS[-2], GROUPS[-1]

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="BEST.JSON",
        help="The best.json of `imgclf tune`.",
        rich_help_panel=COMMON,
    ),
]


def with_settings(
    *, only: Collection[str] = (), leave_out: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add an option to a verb for each setting.

    Args:
        only: Names of the settings that the verb takes; empty for all.
        leave_out: Names of settings that it does not take.

    Returns:
        A decorator. It replaces the verb's parameter ``given`` by the options; the verb receives
        the settings that were typed, by name, checked.
    """
    table = [
        item
        for item in setting_fields()
        if item.setting.group and item.name not in leave_out and (item.name in only or not only)
    ]

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(verb)
        def called(**values: Any) -> None:
            typed = {item.name: values.pop(item.name) for item in table}
            verb(**values, given=_given(table, typed))

        signature = inspect.signature(verb, eval_str=True)
        own = [item for item in signature.parameters.values() if item.name != "given"]
        arguments = [item for item in own if item.default is inspect.Parameter.empty]
        others = [item for item in own if item not in arguments]
        # The settings before the verb's own options, as its help shows them.
        parameters = [*arguments, *map(_parameter, table), *others]
        keywords = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in parameters]
        called.__signature__ = signature.replace(parameters=keywords)  # type: ignore[attr-defined]
        called.__annotations__ = {item.name: item.annotation for item in keywords}
        return called

    return decorate


def _parameter(item: SettingField) -> inspect.Parameter:
    """Return the parameter that Typer reads; None means not typed."""
    setting = item.setting
    flags = [item.flag, *setting.short]
    if item.is_switch and item.default is not False:
        flags = [f"{item.flag}/--no-{item.flag.removeprefix('--')}"]
    completion = complete_architecture if item.name == "architecture" else None
    option = typer.Option(
        *flags,
        help=" ".join(_sentences(item)),
        show_default=False,
        metavar=_metavar(item),
        rich_help_panel=setting.group,
        autocompletion=completion,
    )
    return inspect.Parameter(
        item.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[_typer_type(item) | None, option],
    )


def _sentences(item: SettingField) -> list[str]:
    """Return what a setting is, its values where the text does not name them, and its default."""
    setting = item.setting
    sentences = [setting.help]
    choices = [] if item.is_switch else list(map(str, item.choices))
    if not all(re.search(rf"\b{one}\b", setting.help) for one in choices):
        sentences.append(f"Values: {', '.join(choices)}.")
    if default := setting.default_text or _plain_default(item):
        sentences.append(f"Default: {default}.")
    return sentences


def _metavar(item: SettingField) -> str:
    """Return the metavar; the bounds of a number stand in its error message."""
    if item.setting.metavar:
        return item.setting.metavar
    if item.choices:
        return "NAME" if isinstance(item.choices[0], str) else "N"
    is_whole = isinstance(item.kind, RangeKind) and isinstance(item.kind.range, Int)
    return "N" if is_whole else "X"


def _typer_type(item: SettingField) -> Any:
    if item.is_switch:
        return bool
    if item.choices:
        return Literal[tuple(map(str, item.choices))]
    if isinstance(item.kind, RangeKind):
        return int if isinstance(item.kind.range, Int) else float
    return list[str] if item.name == "options" else str


def _plain_default(item: SettingField) -> str:
    """Return the default as text; empty for a switch, None or a setting of the recipe."""
    plain = isinstance(item.default, (str, int, float)) and not isinstance(item.default, bool)
    return f"{item.default:g}" if isinstance(item.default, float) else str(item.default) * plain


def _given(table: Sequence[SettingField], typed: dict[str, Any]) -> dict[str, Any]:
    """Read the typed values; the kind of a setting parses its text."""
    given: dict[str, Any] = {}
    for item in table:
        value = typed[item.name]
        if value is None or item.name == "options":
            continue
        try:
            given[item.name] = item.parse(value) if isinstance(value, str) else item.checked(value)
        except ArgumentError as error:
            raise typer.BadParameter(str(error)) from None
    if typed.get("options"):
        given["options"] = typed["options"]
    return given


def read_settings_file(path: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """Merge the settings of a ``best.json`` with the typed ones, which win.

    Args:
        path: The file; None adds nothing.
        given: The typed settings; ``options`` as ``name=value`` texts.

    Returns:
        The settings by name, with the architecture's options checked.

    Raises:
        DataNotFoundError: The file does not exist.
        ArgumentError: It holds no settings.
    """
    stored = {} if path is None else _stored_settings(path)
    merged = {**stored, **given}
    if "architecture" in given:  # Only typed text may name a file to run.
        merged["architecture"] = parse_architecture(given["architecture"])
    texts = given.get("options")
    architecture = merged.get("architecture", AUTOMATIC)
    if architecture == AUTOMATIC and texts:
        raise ArgumentError(
            f"--set {texts[0]} belongs to a network: name it too, such as --arch resnet9."
        )
    if architecture != AUTOMATIC:
        parsed = parse_options(architecture, texts or [])
        merged["options"] = {**stored.get("options", {}), **parsed}
    return merged


def _stored_settings(path: Path) -> dict[str, Any]:
    from imgclf.runs.config import plain_settings, read_settings

    try:
        values = json.loads(path.read_text(encoding="utf-8"))["settings"]
        names = set(values) & {item.name for item in setting_fields()}
        settings = read_settings(values)
    except FileNotFoundError:
        raise DataNotFoundError(f"{path} does not exist: check the path.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(
            f"{path} holds no settings ({type(error).__name__}: {error}): give the best.json of "
            "a study."
        ) from error
    if not names:
        raise ArgumentError(f"{path} holds no settings: give the best.json of a study.")
    return {name: getattr(settings, name) for name in plain_settings(settings) if name in names}
