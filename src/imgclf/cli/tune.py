"""`imgclf tune`: a hyperparameter search on a folder of images."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from imgclf.cli._console import (
    ScanBar,
    accuracy_line,
    error_console,
    print_json,
    print_line,
    print_verdict,
    result_console,
    shown_path,
    typed_path,
)
from imgclf.cli._help import HelpAllFlag
from imgclf.cli._parameters import (
    JsonFlag,
    architecture_flag,
    complete_architecture,
    parse_architecture,
    parse_budget,
)
from imgclf.cli._settings import COMMON, with_settings
from imgclf.cli._training import load_tensorflow, print_data
from imgclf.figures.shares import shown_share
from imgclf.machine.terminal import escape
from imgclf.runs.config import plain_value
from imgclf.runs.settings import AUTOMATIC
from imgclf.tuning.trial_settings import NOT_IN_TRIALS

if TYPE_CHECKING:
    from rich.console import Console

    from imgclf.clusters.connection import Cluster
    from imgclf.data.batches.image_data import ImageData
    from imgclf.tuning.gain import Gain
    from imgclf.tuning.outcome import TuningResult
    from imgclf.tuning.study import Study

MOST_LISTED = 10
"""Trials in the table at the end; all of them are in trials.csv."""

FIXED_WIDTH = len("trial  100.00 %  100.00 %  99 % to 100 %  ")
"""Characters of the columns that are always there."""

SEARCH = "Search"
STUDY = "Study and workers"
CLUSTER = "Cluster"


@with_settings(leave_out=NOT_IN_TRIALS)
def tune(
    given: dict[str, Any],
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder with one sub-folder per class; or with train/, val/ and test/ in it.",
        ),
    ],
    architecture: Annotated[
        str,
        typer.Option(
            "--architecture",
            "--arch",
            metavar="NAME[,NAME]",
            help="Network(s), or file.py:function. auto: the head of the pretrained one.",
            autocompletion=complete_architecture,
            rich_help_panel=COMMON,
        ),
    ] = AUTOMATIC,
    tune_: Annotated[
        str | None,
        typer.Option(
            "--tune",
            metavar="NAME,NAME",
            help="Names to search: options of the network, learning_rate, optimizer, "
            "batch_size, augment, image_size, head_penalty, head_copies.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES",
            help="Values to try: filters=16,32 or learning_rate=1e-4..1e-2.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    strategy: Annotated[
        Literal["random", "bayesian", "hyperband", "grid"],
        typer.Option(
            metavar="NAME",
            help="Search strategy: random, bayesian, hyperband or grid.",
            rich_help_panel=SEARCH,
        ),
    ] = "random",
    max_trials: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Maximum number of trials.", rich_help_panel=SEARCH),
    ] = 20,
    trial_epochs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Epochs per trial.", rich_help_panel=SEARCH)
    ] = 10,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Total time, such as 90s, 20m or 1.5h.", rich_help_panel=SEARCH
        ),
    ] = None,
    executions: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Trainings per trial; their mean counts.",
            rich_help_panel=SEARCH,
        ),
    ] = 1,
    max_parameters: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Skip networks with more parameters.", rich_help_panel=SEARCH
        ),
    ] = None,
    refit: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Seeds to train the best trial again with, on train and val together.",
            rich_help_panel=SEARCH,
        ),
    ] = 0,
    study_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Study folder. Default: studies/NETWORK-KEY.",
            rich_help_panel=STUDY,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the study.", rich_help_panel=STUDY)
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Delete the study and start again.", rich_help_panel=STUDY),
    ] = False,
    keep: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Number of best trials whose classifiers are kept.",
            rich_help_panel=STUDY,
        ),
    ] = 3,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Write logs for TensorBoard, with the HParams view.",
            rich_help_panel=STUDY,
        ),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Trials at a time; default 1, and all that a cluster has room for.",
            rich_help_panel=STUDY,
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run the trials on a Ray cluster: HOST:PORT, auto (this machine's) or local "
            "(a new one of this machine).",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
    trial_cpus: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Processors of a trial; default 1.", rich_help_panel=CLUSTER
        ),
    ] = None,
    trial_gpus: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="N",
            help="GPUs of a trial; default 1 where the cluster has some.",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
    trial_memory_gb: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="GB",
            help="Memory kept free for a trial; default 2.",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
    allow_unauthenticated: Annotated[
        bool,
        typer.Option(
            "--allow-unauthenticated",
            help="Accept a cluster without a token: anyone who reaches it can run code on it.",
            rich_help_panel=CLUSTER,
        ),
    ] = False,
    as_json: JsonFlag = False,
    help_all: HelpAllFlag = False,  # noqa: ARG001 - it has done its work when it is read
) -> None:
    """Search for the best options for a folder of images.

    Defaults: a random search of 20 trials over the penalty of the pretrained network's head and the
    copies of images that it learns from, which takes seconds a trial. With `--arch` the learning
    rate and the options that the network declares, 10 epochs a trial. The first trial is always the
    defaults. The validation images choose the best trial; it is evaluated on the test images.

    Example: `imgclf tune photos/ --arch three_conv --max-trials 10`
    """
    from imgclf.tuning.folder_search import search_folder
    from imgclf.tuning.request import SearchObserver, SearchRequest
    from imgclf.tuning.space import parse_spaces

    request = SearchRequest(
        architecture=_architectures(architecture),
        max_trials=max_trials,
        trial_epochs=trial_epochs,
        strategy=strategy,
        tune=tune_.split(",") if tune_ is not None else None,
        space=parse_spaces(space or []),
        budget=parse_budget(budget),
        executions=executions,
        max_parameters=max_parameters,
        workers=workers,
        study_dir=study_dir,
        resume=resume,
        fresh=fresh,
        keep=keep,
        refit=refit,
        tensorboard=tensorboard,
        cluster=cluster,
        trial_cpus=trial_cpus,
        trial_gpus=trial_gpus,
        trial_memory_gb=trial_memory_gb,
        allow_unauthenticated=allow_unauthenticated,
        given=given,
    )
    console = error_console()
    with ScanBar(console) as scanning:

        def scanned(data: ImageData) -> None:
            scanning.close()
            print_data(console, data)

        observer = SearchObserver(
            loading=lambda: load_tensorflow(console),
            connected=lambda cluster, room: _print_cluster(console, cluster, room),
            scanning=scanning,
            scanned=scanned,
            opened=lambda study: _print_opened(console, study, tensorboard),
            verbose=True,
        )
        result = search_folder(directory, request, observer)
    if as_json:
        print_json(summary(result))
    else:
        print_summary(result, directory)


def _architectures(text: str) -> Any:
    """Return what is searched: ``auto``, or each network of a list."""
    if text == AUTOMATIC:
        return text
    return [parse_architecture(name.strip()) for name in text.split(",")]


def _print_cluster(console: Console, cluster: Cluster, room: int) -> None:
    names = [node.name for node in cluster.nodes]
    shown = ", ".join(names[:MOST_LISTED]) + (", ..." if len(names) > MOST_LISTED else "")
    print_line(
        console, f"Connected to {len(names)} node(s): {shown}; up to {room} trial(s) at a time"
    )


def _print_opened(console: Console, study: Study, tensorboard: bool) -> None:
    place = escape(shown_path(study.folder))
    console.print(
        f"The study is in [bold]{place}[/]\n"
        "Ctrl-C stops it; the same command with --resume continues it.",
        soft_wrap=True,
    )
    if tensorboard:
        logs = escape(typed_path(study.folder / "tensorboard"))
        console.print(f"Watch it: tensorboard --logdir {logs}", soft_wrap=True)
    for warning in study.warnings:
        print_line(console, warning, style="yellow")


def summary(result: TuningResult) -> dict[str, Any]:
    """Return the result of a search, for JSON."""
    gain = result.gain
    return {
        **result.evaluation.as_dict(),
        "split": result.split,
        "best_trial": result.best.number,
        "settings": {name: plain_value(value) for name, value in result.settings.items()},
        "bundle": str(result.bundle),
        "study_dir": str(result.study_dir),
        "gain": gain and {
            "split": gain.split, "difference": gain.difference, "low": gain.low,
            "high": gain.high, "beyond_noise": gain.beyond_noise,
        },
        "importance": dict(result.importance),
        "refit_accuracies": list(result.refit_accuracies),
        "trials": result.table,
    }  # fmt: skip


def print_summary(result: TuningResult, directory: Path) -> None:
    """Print the result of a search: ranked trials, accuracy, gain and the next command."""
    console = result_console()
    console.print()
    console.print(_ranking(result, console))
    if len(result.table) > MOST_LISTED:
        console.print(f"and {len(result.table) - MOST_LISTED} more in trials.csv")
    failed = sum(trial.status == "failed" for trial in result.trials)
    if failed:
        console.print(f"[yellow]{failed} trial(s) failed; the reasons are in trials.csv[/]")
    if any(result.importance.values()):
        shares = ", ".join(
            f"{name} {shown_share(share, digits=0)}" for name, share in result.importance.items()
        )
        console.print(f"\nImportance of each option: {escape(shares)}")
    console.print()
    print_verdict(console, result.evaluation)
    console.print(accuracy_line(result.evaluation))
    if result.split == "val":
        console.print(
            "[yellow]Measured on the validation images, which also chose the trial: give test "
            "images with --test DIR for an unbiased figure.[/]"
        )
    console.print(_gain_line(result.gain))
    if result.refit_accuracies:
        console.print(_refit_line(result.refit_accuracies))
    file = escape(shown_path(result.bundle))
    flag = escape(architecture_flag(result.settings["architecture"]))
    best = escape(typed_path(result.study_dir / "best.json"))
    console.print(f"The classifier is [bold]{file}[/]", soft_wrap=True)
    if result.table[0].keys() & {"head_penalty", "head_copies"}:  # A longer training is no other.
        following = f"imgclf predict {escape(typed_path(result.bundle))} PHOTO.jpg"
    else:
        following = (
            f"imgclf train {escape(typed_path(directory))} --settings {best} --epochs 30{flag}"
        )
    console.print(f"Next: {following}", soft_wrap=True)


def _ranking(result: TuningResult, console: Console) -> Table:
    from imgclf.tuning.display import fitting_names, shown_value

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    fixed = {"status", "accuracy", "deviation", "bundle_accuracy", "low", "high", "best_epoch",
             "num_parameters", "duration_s", "fit_s", "reason", "trial", "epochs"}  # fmt: skip
    names = [name for name in result.table[0] if name not in fixed]
    rows = result.table[:MOST_LISTED]
    several = any(row["deviation"] is not None for row in rows)
    with_file = any(_differs(row) for row in rows)
    first = ("trial", "mean", "file", "95%") if with_file else ("trial", "accuracy", "95%")
    fixed_width = FIXED_WIDTH + (len(" +- 10.0%") if several else 0)
    fixed_width -= 0 if with_file else len("100.00 %  ")
    names, left_out = fitting_names(names, rows, console.width - fixed_width)
    for name in (*first, *names):
        table.add_column(name, no_wrap=True)
    if left_out:
        table.caption = f"no room for {escape(', '.join(left_out))}: all are in trials.csv"
    for row in rows:
        values = [escape(shown_value(row[name])) for name in names]
        if row["status"] != "completed":
            empty = [""] * (len(first) - 2)
            table.add_row(str(row["trial"]), escape(row["status"]), *empty, *values, style="dim")
            continue
        spread = "" if row["deviation"] is None else f" +- {shown_share(row['deviation'])}"
        interval = f"{shown_share(row['low'], digits=0)} to {shown_share(row['high'], digits=0)}"
        table.add_row(
            str(row["trial"]),
            f"{shown_share(row['accuracy'], digits=2)}{spread}",
            *([shown_share(row["bundle_accuracy"], digits=2)] if with_file else []),
            interval,
            *values,
        )
    table.title = "Accuracy on the validation images; trial 0 is the defaults"
    return table


def _differs(row: Mapping[str, Any]) -> bool:
    """Tell whether a trial's file has another accuracy than the mean of its trainings."""
    if row["status"] != "completed":
        return False
    mean, file = (shown_share(row[name], digits=2) for name in ("accuracy", "bundle_accuracy"))
    return mean != file


def _gain_line(gain: Gain | None) -> str:
    if gain is None:
        return "The gain over the defaults is unknown: their trial failed."
    verdict = "beyond" if gain.beyond_noise else "within"
    return (
        f"Gain over the defaults on the {gain.split} images: {100 * gain.difference:+.1f} points "
        f"(95% band {100 * gain.low:+.1f} to {100 * gain.high:+.1f}: {verdict} the noise)"
    )


def _refit_line(accuracies: Sequence[float]) -> str:
    mean = statistics.fmean(accuracies)
    spread = (
        f" +- {shown_share(statistics.stdev(accuracies), digits=2)}" if len(accuracies) > 1 else ""
    )
    return (
        f"Trained again on training and validation images, {len(accuracies)} time(s): "
        f"{shown_share(mean, digits=2)}{spread} on the test images; the first is refit.imgclf"
    )
