"""`imgclf report`: a finished run as one page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from imgclf.cli._console import result_console, shown_path
from imgclf.cli._parameters import require_path
from imgclf.runtime import silenced_stderr


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `train` made.")],
) -> None:
    """Write the report of a run again: RUN/report.html, one file that opens in any browser.

    Training writes it by itself; this makes it anew, for example after an upgrade.

    Example: `imgclf report runs/2026-03-01-142530-resnet9`
    """
    require_path(run)
    with silenced_stderr():
        from imgclf.evaluation.report import write_report

    page = write_report(run)
    result_console().print(f"The report is [bold]{escape(shown_path(page))}[/]", soft_wrap=True)
