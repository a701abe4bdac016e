"""Writes docs/reference/command-line.md from the commands themselves.

Usage: python tools/write_command_line_reference.py [--check]

With --check nothing is written; the exit code is 1 where the page is stale.
"""

import subprocess
import sys
from pathlib import Path

TARGET = Path(__file__).parents[1] / "docs/reference/command-line.md"


def main() -> None:
    """Write or check the page."""
    command = [
        sys.executable,
        "-m",
        "typer",
        "imgclf.cli.main",
        "utils",
        "docs",
        "--name",
        "imgclf",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    lines = [line.rstrip() for line in done.stdout.strip().splitlines()]
    text = "\n".join(["# Command line", "", *lines[1:]]) + "\n"
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            sys.exit(f"{TARGET.name} is stale: run python {Path(__file__).name}.")
        return
    TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
