"""`imgclf tune-worker`: run trials of a search, also on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgclf.cli._console import error_console, print_line


def tune_worker(
    chief: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="Address that `imgclf tune --chief-address` printed."
        ),
    ],
    study_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Study folder on this machine, where its path differs."),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="Seconds to wait for the chief to start."),
    ] = 60.0,
) -> None:
    """Run trials for `imgclf tune --chief-address`, on this machine or another one.

    Both machines need the study folder and the images under the same paths. A worker runs one
    trial at a time; start several for more. It may join and leave at any time.

    Example: `imgclf tune-worker --chief 10.0.0.5:7777`
    """
    from imgclf.tuning.addresses import parse_address
    from imgclf.tuning.remote_worker import join_search

    console = error_console()
    count = join_search(
        parse_address(chief),
        study_dir=study_dir,
        wait_s=wait,
        on_message=lambda line: print_line(console, line),
    )
    console.print(f"The search is over; {count} trial(s) were run here.")
