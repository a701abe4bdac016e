"""The help of the verbs: one screen for the common case, every option with ``--help-all``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from imgclf.cli._console import result_console
from imgclf.cli._plain_values import read_plainly

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["CommandHelp", "HelpAllFlag", "HelpRow", "VerbGroup", "VerbWithHelp", "help_of"]

ARGUMENTS, OPTIONS = "Arguments", "Options"

WIDEST_FLAGS = 30
"""Cells of the left column; longer flags stand on a line of their own."""


class VerbWithHelp(TyperCommand):
    """A verb that draws its help in two columns, and starts sooner."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, ``--help`` with them."""
        return [read_plainly(parameter) for parameter in super().get_params(ctx)]

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer names it
        """Print the help: all of it, or the common part of a long one."""
        print_help(self, ctx, everything=False)


class VerbGroup(TyperGroup):
    """A group of verbs that draws its help in two columns, and starts sooner."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, ``--help`` with them."""
        return [read_plainly(parameter) for parameter in super().get_params(ctx)]

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer names it
        """Print the help."""
        print_help(self, ctx, everything=True)


def _print_all(ctx: typer.Context, wanted: bool) -> None:
    if wanted:
        print_help(ctx.command, ctx, everything=True)
        raise typer.Exit


HelpAllFlag = Annotated[
    bool,
    typer.Option(
        "--help-all", callback=_print_all, is_eager=True, help="Show every option and exit."
    ),
]


@dataclass(frozen=True, slots=True)
class HelpRow:
    """An argument, an option or a verb.

    Attributes:
        name: What is typed.
        value: What follows it, such as ``N``; empty for a switch.
        text: What it means; what is to be typed stands between backticks.
    """

    name: str
    value: str
    text: str


@dataclass(frozen=True, slots=True)
class CommandHelp:
    """What there is to say of a command.

    Attributes:
        usage: Its form, in one line.
        summary: What it does, in one sentence.
        details: Further paragraphs.
        panels: Arguments and options by panel.
        verbs: The verbs of a group, likewise.
        closing: An example, or what stands in its place.
    """

    usage: str
    summary: str
    details: list[str]
    panels: dict[str, list[HelpRow]]
    verbs: dict[str, list[HelpRow]]
    closing: str


def help_of(command: Any, context: Any) -> CommandHelp:
    """Collect what help and reference say of a command.

    Args:
        command: A verb or a group.
        context: Typer's context.

    Returns:
        All of it, in the order in which it is shown.
    """
    summary, details, closing = _parts(command)
    panels = {
        name: list(map(_row, items)) for name, items in _panels(command.get_params(context)).items()
    }
    usage = _usage(command, context)
    return CommandHelp(usage, summary, details, panels, _verbs(command, context), closing)


def print_help(command: Any, context: Any, *, everything: bool) -> None:
    """Print what a command does, what it takes, and an example.

    Args:
        command: A verb or a group.
        context: Typer's context.
        everything: Whether every panel is shown, where there is a short form.
    """
    content = help_of(command, context)
    is_long = any(item.name == "help_all" for item in command.get_params(context))
    short = is_long and not everything
    console = result_console()
    console.print(Text(f"Usage: {content.usage}", style="bold"))
    for paragraph in (content.summary, *(() if short else content.details)):
        console.print()
        console.print(_in_style(paragraph))
    chosen = _short_panels() if short else content.panels
    panels = {name: content.panels[name] for name in chosen if name in content.panels}
    for name, rows in (*content.verbs.items(), *panels.items()):
        console.print(f"\n[bold]{name}[/]")
        _print_rows(console, rows)
    if short:
        num_left = sum(map(len, content.panels.values())) - sum(map(len, panels.values()))
        console.print(f"\n{num_left} more options: {context.command_path} --help-all", style="dim")
    if content.closing:
        console.print()
        console.print(_in_style(content.closing))


def _short_panels() -> tuple[str, ...]:
    """Return what ``--help`` shows of a verb that has ``--help-all``, in this order."""
    from imgclf.runs.settings import GROUPS  # Not at the top: the other verbs do without it.

    return ARGUMENTS, GROUPS[0], "Search", OPTIONS


def _panels(parameters: Iterable[Any]) -> dict[str, list[Any]]:
    """Sort the parameters by panel; those of every verb come last."""
    from imgclf.runs.settings import GROUPS

    found: dict[str, list[Any]] = {ARGUMENTS: []}
    others = []
    for item in parameters:
        if getattr(item, "hidden", False):
            continue
        if item.param_type_name == "argument":
            found[ARGUMENTS].append(item)
        elif panel := getattr(item, "rich_help_panel", None):
            found.setdefault(panel, []).append(item)
        else:
            others.append(item)
    order = [ARGUMENTS, *GROUPS[:1], *(name for name in found if name not in GROUPS), *GROUPS[1:]]
    panels = {name: found[name] for name in order if found.get(name)}
    return {**panels, OPTIONS: others} if others else panels


def _parts(command: Any) -> tuple[str, list[str], str]:
    """Return the summary, the other paragraphs, and the example or what stands in its place."""
    paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
    text, _, example = paragraphs[-1].partition("Example: ")
    details = [part for part in (*paragraphs[1:-1], text.strip()) if part]
    if len(paragraphs) == 1:
        details = []
    if not example:
        return paragraphs[0], paragraphs[1:], command.epilog or ""
    return paragraphs[0], details, f"Example: {example}"


def _usage(command: Any, context: Any) -> str:
    words = [context.command_path]
    for item in command.get_params(context):
        if item.param_type_name == "argument":
            name = item.metavar or item.name.upper()
            words.append(name if item.required else f"[{name}]")
    words.append("COMMAND" if isinstance(command, TyperGroup) else "[OPTIONS]")
    return " ".join(words)


def _in_style(text: str) -> Text:
    """Show what is to be typed in bold."""
    shown = Text()
    for number, part in enumerate(re.split("`", text)):
        shown.append(part, style="bold" if number % 2 else "")
    return shown


def _row(item: Any) -> HelpRow:
    is_argument = item.param_type_name == "argument"
    name = (item.metavar or item.name.upper()) if is_argument else ", ".join(_flags(item))
    value = "" if is_argument or item.is_flag else item.metavar or "X"
    sentences = [item.help or ""]
    if default := _default(item):
        sentences.append(f"Default: {default}.")
    return HelpRow(name, value, " ".join(sentences))


def _flags(item: Any) -> list[str]:
    """Return the flags, the shortest first; a switch with its opposite as one."""
    flags = sorted(item.opts, key=len)
    opposite = [f"--no-{flag.removeprefix('--')}" for flag in flags]
    if item.secondary_opts and set(item.secondary_opts) <= set(opposite):
        return [f"--[no-]{flag.removeprefix('--')}" for flag in flags]
    return [*flags, *item.secondary_opts]


def _default(item: Any) -> str:
    """Return the default that stands in the function's signature."""
    value = item.default
    if item.param_type_name == "option" and (item.is_flag or not item.show_default):
        return ""
    return "" if value in (None, "", ()) or callable(value) else f"{value}"


def _verbs(command: Any, context: Any) -> dict[str, list[HelpRow]]:
    """Return the verbs of a group by panel."""
    panels: dict[str, list[HelpRow]] = {}
    for name in getattr(command, "commands", ()):
        verb = command.get_command(context, name)
        if verb is not None and not verb.hidden:
            panel = verb.rich_help_panel or "Commands"
            panels.setdefault(panel, []).append(HelpRow(name, "", _parts(verb)[0]))
    return panels


def _print_rows(console: Console, rows: Iterable[HelpRow]) -> None:
    """Print rows in two columns; what is too long for the left one has its own line."""
    shown = [(_left_column(row), _in_style(row.text)) for row in rows]
    fitting = [left.cell_len for left, _ in shown if left.cell_len <= WIDEST_FLAGS]
    indent = max(fitting, default=WIDEST_FLAGS) + 4
    for left, right in shown:
        lines = right.wrap(console, console.width - indent)
        line = Text("  ") + left
        if left.cell_len + 4 <= indent and lines:
            line.append(" " * (indent - line.cell_len))
            line += lines.pop(0)
        console.print(line)
        for rest in lines:
            console.print(Text(" " * indent) + rest)


def _left_column(row: HelpRow) -> Text:
    left = Text(row.name, style="cyan")
    return left.append(f" {row.value}", style="yellow") if row.value else left
