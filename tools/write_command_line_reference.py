"""Writes docs/reference/command-line.md from the commands themselves, as their help shows them.

Usage: python tools/write_command_line_reference.py [--check]

With --check nothing is written; the exit code is 1 where the page is stale.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import typer.main

from imgclf.cli._help import HelpRow, help_of
from imgclf.cli.main import app

TARGET = Path(__file__).parents[1] / "docs/reference/command-line.md"


def main() -> None:
    """Write or check the page."""
    lines = section(typer.main.get_command(app), None, "imgclf", level=1)
    text = "\n".join(lines).strip() + "\n"
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            sys.exit(f"{TARGET.name} is stale: run python {Path(__file__).name}.")
        return
    TARGET.write_text(text, encoding="utf-8")


def section(command: Any, parent: Any, name: str, *, level: int) -> Iterator[str]:
    """Describe a command, and the verbs of a group below it."""
    context = click.Context(command, info_name=name, parent=parent)
    content = help_of(command, context)
    yield "# Command line" if parent is None else f"{'#' * level} `{context.command_path}`"
    yield from ("", content.summary, "", "```console", content.usage, "```", "")
    for paragraph in content.details:
        yield from (paragraph, "")
    for title, rows in (*content.verbs.items(), *content.panels.items()):
        # That every verb has --help is said by the first page of it.
        if shown := [row for row in rows if parent is None or "--help" not in row.name]:
            yield from (f"**{title}**", "", *map(line_of, shown), "")
    if content.closing:
        yield from (content.closing, "")
    for verb in getattr(command, "commands", {}):
        below = command.get_command(context, verb)
        if not below.hidden:
            yield from section(below, context, verb, level=level + 1)


def line_of(row: HelpRow) -> str:
    """Write what is typed as code, and what it means behind it."""
    typed = f"{row.name} {row.value}".strip()
    return f"* `{typed}`: {row.text}"


if __name__ == "__main__":
    main()
