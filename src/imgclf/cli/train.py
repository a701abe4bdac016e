"""`imgclf train`: from a folder of images to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from imgclf.cli._console import (
    ScanBar,
    accuracy_line,
    class_table,
    error_console,
    print_json,
    print_quarantined,
    result_console,
    shown_path,
)
from imgclf.cli._parameters import JsonFlag, parse_image_size, parse_options
from imgclf.runtime import silenced_stderr

if TYPE_CHECKING:
    from rich.console import Console

    from imgclf.data.generators import ImageData
    from imgclf.workflow import Settings, TrainingRun, Watcher


def train(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder with one sub-folder per class; or with train/, val/ and test/ in it.",
        ),
    ],
    arch: Annotated[
        str, typer.Option(help="Architecture; see `imgclf architectures list`.")
    ] = "resnet9",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of the architecture."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 30,
    image_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Pixels: 96, or 96x128 (height x width).")
    ] = "96",
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    schedule: Annotated[
        Literal["cosine", "constant"], typer.Option(help="Course of the learning rate.")
    ] = "cosine",
    optimizer: Annotated[
        Literal["adam", "adamw", "rmsprop", "sgd"], typer.Option(help="Optimizer.")
    ] = "adam",
    augment: Annotated[
        Literal["none", "recipe", "light", "strong"],
        typer.Option(help="How training images are varied; all but none and recipe mirror them."),
    ] = "light",
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Let rare classes count as much as frequent ones.")
    ] = False,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many epochs without a better one.")
    ] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Read images in grey.")] = False,
    resize: Annotated[
        Literal["stretch", "crop", "pad"], typer.Option(help="How images are fitted to the size.")
    ] = "stretch",
    val: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the validation images.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the test images.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed: same split, batches, first weights.")] = 0,
    run_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to; default runs/<date>-<architecture>."),
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "mixed_bfloat16"],
        typer.Option(help="Of the training steps; results are float32."),
    ] = "auto",
    store: Annotated[
        Literal["auto", "memory", "disk", "off"],
        typer.Option(help="Where decoded pixels are kept."),
    ] = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at an unusable file.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a classifier on a folder of images.

    Without any option: the network `resnet9` on images of 96 x 96 pixels, 30 epochs with Adam,
    images mirrored and shifted a little. One folder of class folders is divided into 70 %
    training, 15 % validation and 15 % test images.

    Example: `imgclf train photos/ --epochs 20 --set filters=16`
    """
    from imgclf.data.folder import read_folder

    size = parse_image_size(image_size)
    options = parse_options(arch, set_ or [])
    for folder, fewest in ((directory, 2), (val, 1), (test, 1)):
        if folder is not None:
            read_folder(folder, min_classes=fewest)  # Refused before TensorFlow is loaded.
    console = error_console()
    if console.is_terminal:
        console.print("[dim]Loading TensorFlow ...[/]", end="\r")
    with silenced_stderr():
        from imgclf.run_folder import default_run_folder
        from imgclf.workflow import Settings, run_training

    settings = Settings(
        architecture=arch,
        options=options,
        image_size=size,
        channels=1 if grey else 3,
        resize=resize,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=schedule,
        optimizer=optimizer,
        augment=augment,
        class_weight="balanced" if balanced else None,
        patience=patience,
        precision=precision,
        seed=seed,
        store=store,
        strict=strict,
    )
    folder = run_dir or default_run_folder(arch)
    with ScanBar(console) as scanning:
        run = run_training(
            directory,
            settings,
            val_dir=val,
            test_dir=test,
            run_dir=folder,
            watcher=make_watcher(console, settings, scanning),
        )
    if as_json:
        print_json(summary(run))
    else:
        print_summary(run)


def make_watcher(console: Console, settings: Settings, scanning: ScanBar) -> Watcher:
    """Draw a training on `console` as it goes on."""
    from imgclf.training.precision import choose_precision
    from imgclf.workflow import Watcher

    def scanned(data: ImageData) -> None:
        scanning.close()
        print_quarantined(console, data.quarantined)
        for warning in data.warnings:
            console.print(warning, style="yellow", markup=False)
        if data.num_leaked:
            console.print(
                f"[yellow]Left out {data.num_leaked} held-out image(s) that are also training "
                "images.[/]"
            )
        test = f", {data.test.num_samples} test" if data.test else ""
        console.print(
            f"{data.train.num_classes} classes; {data.train.num_samples} training, "
            f"{data.val.num_samples} validation{test} images"
        )
        console.print(
            f"Training {settings.architecture} on {settings.image_size[0]} x "
            f"{settings.image_size[1]} pixels in {choose_precision(settings.precision)}"
        )

    return Watcher(scanning=scanning, scanned=scanned, verbose=True)


def summary(run: TrainingRun) -> dict[str, Any]:
    """Return what a training gave, for JSON."""
    return {
        **run.evaluation.as_dict(),
        "split": run.headline_split,
        "bundle": str(run.bundle) if run.bundle else None,
        "precision": run.precision,
        "images_per_s": run.images_per_s,
        "durations_s": dict(run.durations_s),
        "best_epoch": run.history.best_epoch + 1 if run.history.best_epoch is not None else None,
        "num_train": run.data.train.num_samples,
        "num_val": run.data.val.num_samples,
        "num_quarantined": len(run.data.quarantined),
        "num_leaked": run.data.num_leaked,
    }


def print_summary(run: TrainingRun) -> None:
    """Print the end of a training: how good, by class, where it lies, and what to type next."""
    console = result_console()
    metrics = run.evaluation.metrics
    console.print()
    console.print(accuracy_line(metrics))
    if run.headline_split == "val":
        console.print(
            "[yellow]Measured on the validation images, which also chose the epoch: give other "
            "images with --test DIR for an unbiased figure.[/]"
        )
    console.print()
    console.print(class_table(metrics))
    seconds = sum(run.durations_s.values())
    best = run.history.best_epoch
    console.print(
        f"\n{seconds:.0f} s, {run.images_per_s:,.0f} images/s in training"
        + (f", best epoch {best + 1} of {len(run.history.epoch)}" if best is not None else "")
    )
    if run.bundle is not None:
        bundle = escape(shown_path(run.bundle))
        console.print(f"The classifier is [bold]{bundle}[/]", soft_wrap=True)
        console.print(f"Next: imgclf predict {bundle} PHOTO.jpg", soft_wrap=True)
