"""Writes docs/reference/command-line.md from the commands themselves.

Usage: python tools/write_command_line_reference.py [--check]

With --check nothing is written; the exit code is 1 where the page is stale.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from imgclf.cli.main import app

TARGET = Path(__file__).parents[1] / "docs/reference/command-line.md"


def main() -> None:
    """Write or check the page."""
    command = [
        sys.executable,
        "-m",
        "typer",
        "--app",
        "app",
        "imgclf.cli.main",
        "utils",
        "docs",
        "--name",
        "imgclf",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    lines = [line.rstrip() for line in done.stdout.strip().splitlines()]
    text = "\n".join(["# Command line", "", *with_whole_summaries(lines[1:])]) + "\n"
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            sys.exit(f"{TARGET.name} is stale: run python {Path(__file__).name}.")
        return
    TARGET.write_text(text, encoding="utf-8")


def with_whole_summaries(lines: list[str]) -> Iterator[str]:
    """Put each verb's whole first sentence where Typer cuts it after 45 characters."""
    command: Any = typer.main.get_command(app)
    for line in lines:
        heading = re.match(r"#+ `imgclf (.*)`$", line)
        if heading:
            command = command_of(heading[1].split())
        row = re.match(r"\* `([\w-]+)`: ", line)
        verb = getattr(command, "commands", {}).get(row[1]) if row else None
        yield f"* `{verb.name}`: {first_paragraph(verb.help or '')}" if verb else line


def command_of(words: list[str]) -> Any:
    """Find a command by its words."""
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    return command


def first_paragraph(text: str) -> str:
    """Return the text up to the first empty line, as one line."""
    return " ".join(text.strip().split("\n\n")[0].split())


if __name__ == "__main__":
    main()
