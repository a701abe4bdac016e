"""`imgclf bench`: whether loading images or the network is the bottleneck."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from imgclf.cli._console import (
    ScanBar,
    error_console,
    print_json,
    print_line,
    result_console,
    shown_path,
)
from imgclf.cli._parameters import CLASSIFIER_SUFFIX, JsonFlag, find_classifier
from imgclf.cli._settings import read_settings_file, with_settings
from imgclf.cli._training import load_tensorflow
from imgclf.figures.shares import shown_share
from imgclf.runs.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from imgclf.runs.throughput import Throughput


@with_settings(
    only=("architecture", "options", "image_size", "batch_size", "augment", "channels", "store")
)
def bench(
    given: dict[str, Any],
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder as for `imgclf train`, or ZIP or CSV file; or a classifier.",
            callback=find_classifier,
        ),
    ],
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Training steps per timing.")] = 20,
    engine: Annotated[
        Literal["all", "litert", "keras", "onnx", "openvino"],
        typer.Option(
            metavar="NAME", help="What answers: litert, keras, onnx, openvino, or all in turn."
        ),
    ] = "all",
    as_json: JsonFlag = False,
) -> None:
    """Find the bottleneck of a training: loading images, or the network.

    Measures images per second of the scan, of loading and augmentation, of training steps on one
    batch in memory, and of training steps on loaded batches; the last two alternate. Nothing is
    saved.

    Given a classifier (.imgclf, or a run folder), its answers are measured instead: images per
    second of each engine, one and 32 at a time, in turn.

    Example: `imgclf bench photos/ --arch three_conv --image-size 150`
    """
    if directory.suffix == CLASSIFIER_SUFFIX:
        _bench_answers(directory, engine, as_json=as_json)
        return
    from imgclf.data.reading.layout import read_folder

    settings = Settings(**read_settings_file(None, given))
    read_folder(directory)  # Both are refused before TensorFlow is loaded.
    console = error_console()
    load_tensorflow(console)
    from imgclf.runs.throughput import measure_throughput

    if console.is_terminal:
        console.print("[dim]Measuring; with a large network this takes minutes ...[/]")
    with ScanBar(console) as scanning:
        result = measure_throughput(directory, settings, num_steps=steps, progress=scanning)
    if as_json:
        print_json(result.as_dict())
        return
    settings = result.settings
    height, width = settings.height_and_width
    title = (
        f"{shown_path(directory)}: {settings.architecture}, {height} x {width} pixels, batches of "
        f"{settings.batch_size}"
    )
    print_line(result_console(), title)
    _print_speeds(result_console(), result)


def _bench_answers(file: Path, engine: str, *, as_json: bool) -> None:
    if engine != "litert":
        load_tensorflow(error_console())
    from imgclf.classifiers.engine_speed import BATCH, installed_engines, measure_engines

    engines: list[Any] = installed_engines() if engine == "all" else [engine]
    speeds = measure_engines(file, engines)
    if as_json:
        print_json([asdict(speed) for speed in speeds])
        return
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("engine", "images/s, one at a time", f"{BATCH} at a time"):
        table.add_column(name, justify="left" if name == "engine" else "right")
    for speed in speeds:
        table.add_row(speed.engine, f"{speed.alone_per_s:,.0f}", f"{speed.batched_per_s:,.0f}")
    result_console().print(table)
    result_console().print(
        "Images of this size that are decoded already. litert needs no TensorFlow."
    )


def _print_speeds(console: Console, result: Throughput) -> None:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("part")
    table.add_column("images/s", justify="right")
    table.add_row(f"scan, once ({result.num_scanned:,} files)", f"{result.scan:,.0f}")
    table.add_row("loading and augmentation", f"{result.loading:,.0f}")
    table.add_row("training on one batch in memory", f"{result.step:,.0f}")
    table.add_row("training on loaded batches", f"{result.training:,.0f}")
    console.print(table)
    cost = f"loading adds {shown_share(max(0.0, result.loading_cost), digits=0)} to a training step"
    if result.limit == "model":
        console.print(f"The network is the bottleneck: {cost}.")
    else:
        console.print(
            f"Loading is the bottleneck: {cost}. Try --augment light or none, or --store memory."
        )
