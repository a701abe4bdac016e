"""`imgclf report`: the report of a run, or a comparison of two runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from imgclf.cli._console import print_json, result_console, shown_path
from imgclf.cli._parameters import JsonFlag, require_path
from imgclf.figures.shares import shown_range, shown_share
from imgclf.machine.startup import silenced_stderr
from imgclf.machine.terminal import escape

if TYPE_CHECKING:
    from imgclf.reports.comparison import Comparison


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folder, such as runs/last.")
    ],
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare two runs on their common held-out images.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="HTML", help="With --compare: the page; default RUN2/comparison.html."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the report of a run again, or compare two runs.

    The report is RUN/report.html, one file that opens in any browser. Training writes it; this
    command writes it again, for example after an upgrade, and completes a run that was killed at
    its end. A comparison is printed and written as a page.

    Example: `imgclf report --compare runs/first runs/second`
    """
    if len(runs) != (2 if compare else 1):
        raise typer.BadParameter("give one run, or two runs with --compare.")
    if output is not None and not compare:
        raise typer.BadParameter("--output needs --compare; a report is in its run folder.")
    from imgclf.runs.folder import read_config
    from imgclf.runs.run_names import follow_newest

    runs = list(map(follow_newest, runs))
    for run in runs:
        require_path(run)
        read_config(run)  # What is no run is refused before TensorFlow is loaded.
    if compare:
        compare_two(runs[0], runs[1], output, as_json)
        return
    with silenced_stderr():
        from imgclf.reports.documents import write_documents

    page = write_documents(runs[0])
    if as_json:
        print_json({"report": str(page)})
    else:
        result_console().print(f"The report is [bold]{escape(shown_path(page))}[/]", soft_wrap=True)


def compare_two(first: Path, second: Path, output: Path | None, as_json: bool) -> None:
    """Compare two runs and print whether their difference is significant."""
    with silenced_stderr():
        from imgclf.reports.comparison import compare_runs
        from imgclf.reports.comparison_page import write_comparison
        from imgclf.runs.record import read_run

    left, right = read_run(first), read_run(second)
    found = compare_runs(left, right)
    page = write_comparison(left, right, output)
    if as_json:
        print_json({"runs": [str(first), str(second)], **asdict(found), "page": str(page)})
    else:
        print_comparison(found, (first, second), page)


def print_comparison(found: Comparison, runs: tuple[Path, Path], page: Path) -> None:
    """Print accuracies, the numbers of images that only one run classifies correctly, the test."""
    from imgclf.reports.comparison_page import verdict

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("run", overflow="fold")
    for name in ("accuracy", "95% interval", "only this one right"):
        table.add_column(name, justify="right")
    alone = (found.only_first, found.only_second)
    for run, accuracy, interval, only in zip(
        runs, found.accuracies, found.intervals, alone, strict=True
    ):
        shown = shown_range(interval.low, interval.high, found.num_images)
        table.add_row(
            escape(shown_path(run)), shown_share(accuracy, found.num_images), shown, str(only)
        )
    console = result_console()
    console.print(table)
    console.print(f"\n{verdict(found)}")
    console.print(f"The page is [bold]{escape(shown_path(page))}[/]", soft_wrap=True)
