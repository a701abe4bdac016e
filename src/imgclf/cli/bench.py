"""`imgclf bench`: whether loading or the network sets the pace of a training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from imgclf.cli._console import ScanBar, error_console, print_json, result_console, shown_path
from imgclf.cli._parameters import (
    JsonFlag,
    parse_architecture,
    parse_image_size,
    parse_options,
)
from imgclf.cli._training import load_tensorflow

if TYPE_CHECKING:
    from rich.console import Console

    from imgclf.runs.throughput import Throughput


def bench(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder as for `imgclf train`, or ZIP or CSV file."),
    ],
    arch: Annotated[str, typer.Option(help="Architecture.")] = "resnet9",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of the architecture."),
    ] = None,
    image_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Pixels: 96, or 96x128 (height x width).")
    ] = "96",
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 32,
    augment: Annotated[
        Literal["none", "recipe", "light", "strong"],
        typer.Option(help="How training images are varied."),
    ] = "light",
    store: Annotated[
        Literal["auto", "memory", "disk", "off"],
        typer.Option(help="Where decoded pixels are kept."),
    ] = "auto",
    steps: Annotated[int, typer.Option(min=1, help="Steps that are timed at a time.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """Tell whether loading or the network is the limit of a training; nothing is kept.

    Measures images per second of the scan, of loading and varying batches, of training steps on
    one batch held in memory, and of training steps on loaded batches; the last two take turns.

    Example: `imgclf bench photos/ --arch three_conv --image-size 150`
    """
    from imgclf.data.reading.layout import read_folder

    size, architecture = parse_image_size(image_size), parse_architecture(arch)
    options = parse_options(architecture, set_ or [])
    read_folder(directory)  # Both are refused before TensorFlow is loaded.
    console = error_console()
    load_tensorflow(console)
    from imgclf.runs.throughput import measure_throughput

    with ScanBar(console) as scanning:
        result = measure_throughput(
            directory,
            architecture=architecture,
            options=options,
            image_size=size,
            batch_size=batch_size,
            augment=augment,
            store=store,
            num_steps=steps,
            progress=scanning,
        )
    if as_json:
        print_json(result.as_dict())
        return
    title = (
        f"{shown_path(directory)}: {arch}, {size[0]} x {size[1]} pixels, batches of {batch_size}"
    )
    result_console().print(title, markup=False, soft_wrap=True)
    _print_speeds(result_console(), result)


def _print_speeds(console: Console, result: Throughput) -> None:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("part")
    table.add_column("images/s", justify="right")
    table.add_row(f"scan, once ({result.num_scanned:,} files)", f"{result.scan:,.0f}")
    table.add_row("loading and varying", f"{result.loading:,.0f}")
    table.add_row("training on a held batch", f"{result.step:,.0f}")
    table.add_row("training on loaded batches", f"{result.training:,.0f}")
    console.print(table)
    cost = f"loading adds {max(0.0, result.loading_cost):.0%} to a training step"
    if result.limit == "model":
        console.print(f"The model is the limit: {cost}.")
    else:
        console.print(
            f"Loading is the limit: {cost}. Try --augment light or none, or --store memory."
        )
