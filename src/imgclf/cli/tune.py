"""`imgclf tune`: which options suit your images best."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from imgclf.cli._console import (
    ScanBar,
    accuracy_line,
    error_console,
    print_json,
    result_console,
    shown_path,
)
from imgclf.cli._parameters import (
    BalancedFlag,
    GreyFlag,
    JsonFlag,
    Resize,
    TestFolder,
    ValFolder,
    complete_architecture,
    parse_budget,
    parse_image_size,
)
from imgclf.cli._training import load_tensorflow, print_data

if TYPE_CHECKING:
    from rich.console import Console

    from imgclf.tuning.gain import Gain
    from imgclf.tuning.study import Study
    from imgclf.tuning.tuner import TuningResult

MOST_LISTED = 10
"""Trials in the table at the end; all of them are in trials.csv."""

LEFT_TO_RECIPE = ("learning_rate", "optimizer", "schedule", "weight_decay", "label_smoothing",
                  "average_weights")  # fmt: skip
"""What a recipe decides of the trials' settings, beside batches and augmentation."""

FIXED_WIDTH = len("trial  100.00%  100.00%  99% to 100%  ")
"""Characters of the columns that are always there."""


def tune(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder with one sub-folder per class; or with train/, val/ and test/ in it.",
        ),
    ],
    arch: Annotated[
        str,
        typer.Option(
            metavar="NAME[,NAME]",
            help="Architecture, or several to choose from.",
            autocompletion=complete_architecture,
        ),
    ] = "resnet9",
    tune_: Annotated[
        str | None,
        typer.Option(
            "--tune",
            metavar="NAME,NAME",
            help="What is searched: options of the architecture, learning_rate, optimizer, "
            "batch_size, augment, image_size.",
        ),
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES", help="Values to try: filters=16,32 or learning_rate=1e-4..1e-2."
        ),
    ] = None,
    strategy: Annotated[
        Literal["random", "bayesian", "hyperband", "grid"], typer.Option(help="How to search.")
    ] = "random",
    max_trials: Annotated[int, typer.Option(min=1, help="Most trials, the first included.")] = 20,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin no trial after 90s, 20m or 1.5h.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes per trial.")] = 10,
    executions: Annotated[
        int, typer.Option(min=1, help="Trainings per trial; their mean counts.")
    ] = 1,
    max_parameters: Annotated[
        int | None, typer.Option(min=1, help="Do not train larger networks.")
    ] = None,
    refit: Annotated[
        int, typer.Option(min=0, help="Seeds to train the best with on train and val together.")
    ] = 0,
    workers: Annotated[
        int, typer.Option(min=0, help="Trials at a time on this machine; 0 leaves all to others.")
    ] = 1,
    chief_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Let `imgclf tune-worker` join here, such as 127.0.0.1:7777. The port has no "
            "password: it belongs on a private network.",
        ),
    ] = None,
    allow_network: Annotated[
        bool, typer.Option("--allow-network", help="Let other machines reach that address.")
    ] = False,
    image_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Pixels: 96, or 96x128 (height x width).")
    ] = "96",
    recipe: Annotated[
        Literal["fast", "best", "recipe"],
        typer.Option(help="Gives what the options below leave open, as in `imgclf train`."),
    ] = "fast",
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, show_default="16, more from 2,000 images on", help="Images per batch."),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            show_default="the optimizer's usual",
            help="Of the first trial; by default a tenth to ten times of it are searched.",
        ),
    ] = None,
    optimizer: Annotated[
        Literal["adam", "adamw", "rmsprop", "sgd", "muon"] | None,
        typer.Option(
            show_default="muon for networks with normalisation, else adam", help="Optimizer."
        ),
    ] = None,
    augment: Annotated[
        Literal["none", "recipe", "light", "strong"] | None,
        typer.Option(show_default="light", help="How training images are varied."),
    ] = None,
    balanced: BalancedFlag = False,
    patience: Annotated[
        int | None, typer.Option(min=1, help="End a trial after so many epochs without a better.")
    ] = None,
    grey: GreyFlag = False,
    resize: Resize = "stretch",
    val: ValFolder = None,
    test: TestFolder = None,
    seed: Annotated[int, typer.Option(help="Same seed: same split, same proposals.")] = 0,
    study_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to; default studies/<architecture>-<key>."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove the study; begin anew.")] = False,
    keep: Annotated[int, typer.Option(min=1, help="Bundles to keep, the best ones.")] = 3,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write tensorboard/ with the HParams view.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Search for the options that suit a folder of images best.

    Without any option: learning rate and the options that `resnet9` declares for a search, at
    random, 20 trials of 10 epochs. The first trial is always the defaults: what `imgclf train`
    does in as many epochs. The validation images choose the best trial, the test images say how
    good it is.

    Example: `imgclf tune photos/ --arch three_conv --max-trials 10 --space filters=16,32`
    """
    from imgclf.data.reading.layout import read_folder
    from imgclf.tuning.pool import open_pool
    from imgclf.tuning.proposals import require_strategy
    from imgclf.tuning.search_spec import SearchLimits, SearchSpec
    from imgclf.tuning.space import make_space, parse_spaces
    from imgclf.tuning.trial_settings import TrialSettings

    # Everything is refused here that can be without TensorFlow.
    size, budget_s = parse_image_size(image_size), parse_budget(budget)
    require_strategy(strategy)
    names = tune_.split(",") if tune_ is not None else None
    spaces = parse_spaces(space or [])
    searched = make_space(arch, tune=names, space=spaces)
    given: dict[str, Any] = {
        name: value
        for name, value in (("learning_rate", learning_rate), ("optimizer", optimizer))
        if value is not None
    }
    settings = TrialSettings(
        epochs=epochs,
        class_weight="balanced" if balanced else None,
        patience=patience,
        seed=seed,
        executions=executions,
        max_parameters=max_parameters,
        **given,
    )
    limits = SearchLimits(max_trials, budget_s, keep)
    found = read_folder(directory)
    for folder in (val, test):
        if folder is not None:
            read_folder(folder, min_classes=1)
    console = error_console()
    # Its processes load TensorFlow, too, and may as well begin.
    with open_pool(
        workers, chief_address, allow_network=allow_network,
        on_listening=lambda address: console.print(
            f"Others may join: imgclf tune-worker --chief {address}", markup=False, soft_wrap=True
        ),
    ) as pool:  # fmt: skip
        load_tensorflow(console)
        from imgclf.runs.settings import Settings, make_plan, recipe_settings
        from imgclf.tuning.candidate_training import settle_optimizer
        from imgclf.tuning.tuner import data_digest, run_tuning

        given |= {"batch_size": batch_size} if batch_size else {}
        given |= {"augment": augment} if augment else {}
        chosen = recipe_settings(recipe, directory, **given)
        shape = (*size, 1 if grey else 3)
        settle_optimizer(chosen, searched.architectures, shape, len(found.class_names))
        settings = replace(settings, **{name: chosen[name] for name in LEFT_TO_RECIPE})
        searched = make_space(arch, tune=names, space=spaces, learning_rate=settings.learning_rate)
        plan = make_plan(
            directory,
            Settings(
                image_size=size, channels=1 if grey else 3, resize=resize, seed=seed,
                batch_size=chosen["batch_size"], augment=chosen["augment"],
            ),
            val_dir=val,
            test_dir=test,
        )  # fmt: skip
        with ScanBar(console) as scanning:
            data = plan.build(scanning)
        print_data(console, data)

        def show_study(study: Study) -> None:
            place = escape(shown_path(study.folder))
            console.print(
                f"The study is in [bold]{place}[/]; Ctrl-C ends it, --resume goes on",
                soft_wrap=True,
            )
            if tensorboard:
                console.print(f"Watch it: tensorboard --logdir {place}/tensorboard", soft_wrap=True)
            for warning in study.warnings:
                console.print(warning, style="yellow", markup=False)

        spec = SearchSpec(
            searched, strategy, settings, limits, study_dir, resume, fresh, refit, tensorboard
        )
        digest = data_digest(data.train, data.val)
        result = run_tuning(spec, plan, digest, pool, verbose=True, on_open=show_study)
    if as_json:
        print_json(summary(result))
    else:
        print_summary(result, shown_path(directory))


def summary(result: TuningResult) -> dict[str, Any]:
    """Return what a search gave, for JSON."""
    gain = result.gain
    return {
        **result.evaluation.as_dict(),
        "split": result.split,
        "best_trial": result.best.number,
        "settings": dict(result.settings),
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


def print_summary(result: TuningResult, directory: str) -> None:
    """Print the end of a search: the ranked trials, the gain, how good the best is, what next."""
    console = result_console()
    console.print()
    console.print(_ranking(result, console))
    if len(result.table) > MOST_LISTED:
        console.print(f"and {len(result.table) - MOST_LISTED} more in trials.csv")
    failed = sum(trial.status == "failed" for trial in result.trials)
    if failed:
        console.print(f"[yellow]{failed} trial(s) failed; the reasons are in trials.csv[/]")
    if result.importance:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in result.importance.items())
        console.print(f"\nShare of the differences that each option explains: {escape(shares)}")
    console.print(f"\n{accuracy_line(result.evaluation)}")
    if result.split == "val":
        console.print(
            "[yellow]Measured on the validation images, which also chose the trial: give other "
            "images with --test DIR for an unbiased figure.[/]"
        )
    console.print(_gain_line(result.gain))
    if result.refit_accuracies:
        console.print(_refit_line(result.refit_accuracies))
    bundle = escape(shown_path(result.bundle))
    best = escape(shown_path(result.study_dir / "best.json"))
    console.print(f"The classifier is [bold]{bundle}[/]", soft_wrap=True)
    console.print(
        f"Next: imgclf train {escape(directory)} --options {best} --epochs 30", soft_wrap=True
    )


def _ranking(result: TuningResult, console: Console) -> Table:
    from imgclf.tuning.display import fitting_names, shown_value

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    fixed = {"status", "accuracy", "deviation", "bundle_accuracy", "low", "high", "best_epoch",
             "num_parameters", "duration_s", "fit_s", "reason", "trial", "epochs"}  # fmt: skip
    names = [name for name in result.table[0] if name not in fixed]
    rows = result.table[:MOST_LISTED]
    several = any(row["deviation"] is not None for row in rows)
    fixed_width = FIXED_WIDTH + (len(" +- 10.0%") if several else 0)
    names, left_out = fitting_names(names, rows, console.width - fixed_width)
    for name in ("trial", "mean", "bundle", "95 %", *names):
        table.add_column(name, no_wrap=True)
    if left_out:
        table.caption = f"no room for {', '.join(left_out)}: all are in trials.csv"
    for row in rows:
        values = [escape(shown_value(row[name])) for name in names]
        if row["status"] != "completed":
            table.add_row(str(row["trial"]), row["status"], "", "", *values, style="dim")
            continue
        spread = "" if row["deviation"] is None else f" +- {row['deviation']:.1%}"
        interval = f"{row['low']:.0%} to {row['high']:.0%}"
        table.add_row(
            str(row["trial"]), f"{row['accuracy']:.2%}{spread}", f"{row['bundle_accuracy']:.2%}",
            interval, *values,
        )  # fmt: skip
    table.title = "Accuracy on the validation images"
    return table


def _gain_line(gain: Gain | None) -> str:
    if gain is None:
        return "The gain over the defaults is unknown: they came to no result."
    verdict = "beyond" if gain.beyond_noise else "within"
    return (
        f"Gain over the defaults on the {gain.split} images: {100 * gain.difference:+.1f} points "
        f"(95 % band {100 * gain.low:+.1f} to {100 * gain.high:+.1f}: {verdict} the noise)"
    )


def _refit_line(accuracies: Sequence[float]) -> str:
    mean = statistics.fmean(accuracies)
    spread = f" +- {statistics.stdev(accuracies):.2%}" if len(accuracies) > 1 else ""
    return (
        f"Trained again on training and validation images, {len(accuracies)} time(s): "
        f"{mean:.2%}{spread} on the test images; the first is refit.imgclf"
    )
