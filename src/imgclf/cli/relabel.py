"""`imgclf relabel`: a data set with corrected labels; no image is changed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from imgclf.cli._console import print_json, result_console, shown_path, typed_path
from imgclf.cli._parameters import JsonFlag
from imgclf.machine.terminal import escape

if TYPE_CHECKING:
    from imgclf.reports.corrected_labels import Relabelling

MOST_LISTED = 20


def relabel(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, such as runs/last.")],
    suspects: Annotated[
        Path | None,
        typer.Argument(
            metavar="SUSPECTS.CSV",
            help="Its suspects.csv with the column corrected filled in; default RUN/suspects.csv.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="A new file; default RUN/relabelled.csv."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a data set with corrected labels.

    Fill in the column corrected of a run's suspects.csv: the right class, or - to leave the image
    out; an empty entry keeps its label. The result is a CSV file that `imgclf train` reads. No
    image is moved or changed, and each stays in its split.

    Example: `imgclf relabel runs/last`
    """
    from imgclf.reports.corrected_labels import relabel as write_corrected
    from imgclf.runs.folder import SPLIT_NAME, read_config

    if not (run / SPLIT_NAME).exists():
        read_config(run)  # What is no run is refused as such.
    done = write_corrected(run, suspects, output=output)
    if as_json:
        print_json({**asdict(done), "path": str(done.path)})
    else:
        print_relabelling(done)


def print_relabelling(done: Relabelling) -> None:
    """Print the corrections and the next command."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("image", "was", "is"):
        table.add_column(name, overflow="fold")
    for item in done.corrections[:MOST_LISTED]:
        after = "[dim]left out[/]" if item.after is None else escape(item.after)
        table.add_row(escape(shown_path(item.path)), escape(item.before), after)
    console = result_console()
    console.print(table)
    if len(done.corrections) > MOST_LISTED:
        console.print(f"and {len(done.corrections) - MOST_LISTED} more")
    path = escape(shown_path(done.path))
    console.print(
        f"\n{len(done.corrections)} corrected, {done.num_images} images in [bold]{path}[/]",
        soft_wrap=True,
    )
    console.print(f"Next: imgclf train {escape(typed_path(done.path))}", soft_wrap=True)
