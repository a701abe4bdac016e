"""`imgclf train`: from a folder of images to a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from imgclf.cli._console import ScanBar, error_console
from imgclf.cli._parameters import (
    BalancedFlag,
    GreyFlag,
    JsonFlag,
    Resize,
    SettingsFile,
    TestFolder,
    ValFolder,
    complete_architecture,
    parse_architecture,
    parse_architecture_file,
    parse_batch_size,
    parse_budget,
    parse_image_size,
    parse_learning_rate,
    parse_options,
    require_path,
)
from imgclf.cli._signals import StopSwitch
from imgclf.cli._training import finish, load_tensorflow, make_watcher
from imgclf.options import WITHOUT_WEIGHTS, Weights
from imgclf.zoo.registry import load_architecture

if TYPE_CHECKING:
    from rich.console import Console

    from imgclf.options import Value
    from imgclf.workflow.training import TrainingRun

FIXED_BY_BUNDLE = ("set_", "image_size", "grey", "resize")
"""Parameters that `--from` takes from the bundle; an architecture's function it cannot hold."""


def train(
    context: typer.Context,
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="Folder with one sub-folder per class; or with train/, val/ and test/ in it; or a "
            "ZIP or CSV file.",
        ),
    ] = None,
    arch: Annotated[
        str,
        typer.Option(
            help="Architecture; see `imgclf architectures list`. Or path/to/file.py:function.",
            autocompletion=complete_architecture,
        ),
    ] = "resnet9",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of the architecture."),
    ] = None,
    recipe: Annotated[
        Literal["fast", "best", "recipe"],
        typer.Option(
            help="Gives what the options below leave open, for the number of images. best takes "
            "several times as long as fast; recipe has the beginner's values."
        ),
    ] = "fast",
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Be done in this time, such as 5m: chooses image size (unless given) and epochs.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            show_default="40 for 1,000 images, 6 for 50,000",
            help="Passes over the training images.",
        ),
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", show_default="96", help="Pixels: 96, or 96x128 (height x width)."
        ),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            show_default="16, more from 2,000 images on",
            help="Images per batch; auto halves it where the memory does not hold a step.",
        ),
    ] = None,
    learning_rate: Annotated[
        str | None,
        typer.Option(
            metavar="RATE",
            show_default="the optimizer's usual",
            help="Highest learning rate, Adam's unless --optimizer is given; auto measures it.",
        ),
    ] = None,
    schedule: Annotated[
        Literal["cosine", "constant"] | None,
        typer.Option(show_default="cosine", help="Course of the learning rate."),
    ] = None,
    optimizer: Annotated[
        Literal["adam", "adamw", "rmsprop", "sgd", "muon"] | None,
        typer.Option(
            show_default="muon for networks with normalisation, else adam", help="Optimizer."
        ),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of each kernel that a step of rate 1 takes away."),
    ] = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.9,
            show_default="0.1",
            help="Share of each label that is spread over all classes.",
        ),
    ] = None,
    accumulate_steps: Annotated[
        int,
        typer.Option("--accumulate", min=1, help="Batches whose mean gradient makes one change."),
    ] = 1,
    augment: Annotated[
        Literal["none", "recipe", "light", "strong"] | None,
        typer.Option(
            show_default="light",
            help="How training images are varied; all but none and recipe mirror them.",
        ),
    ] = None,
    balanced: BalancedFlag = False,
    oversample: Annotated[
        bool,
        typer.Option("--oversample", help="Show images of rare classes several times per epoch."),
    ] = False,
    mixup: Annotated[
        float,
        typer.Option(metavar="ALPHA", min=0, help="Lay images over each other: try 0.2."),
    ] = 0.0,
    cutmix: Annotated[
        float,
        typer.Option(metavar="ALPHA", min=0, help="Put parts of images into others: try 1."),
    ] = 0.0,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many epochs without a better one.")
    ] = None,
    grey: GreyFlag = False,
    resize: Resize = "stretch",
    val: ValFolder = None,
    test: TestFolder = None,
    seed: Annotated[int, typer.Option(help="Same seed: same split, batches, first weights.")] = 0,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic", help="Same seed: the same weights to the last bit; slower."
        ),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write logs for TensorBoard into the run folder.")
    ] = False,
    mlflow: Annotated[
        bool, typer.Option("--mlflow", help="Log to MLflow; needs the extra imgclf[mlflow].")
    ] = False,
    run_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to; default runs/<date>-<architecture>."),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option("--from", metavar="BUNDLE", help="Go on from this classifier."),
    ] = None,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="With --from: train the dense layers only.")
    ] = False,
    two_phase: Annotated[
        bool | None,
        typer.Option(
            "--two-phase/--one-phase",
            help="The head first, on frozen features, then all; default for pretrained weights.",
        ),
    ] = None,
    fine_tune_epochs: Annotated[
        int, typer.Option(min=0, help="In two phases: epochs of the whole network, at the end.")
    ] = 5,
    fine_tune_rate: Annotated[
        float | None,
        typer.Option(help="In two phases: highest learning rate of these; default a tenth."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with a stopped run; all else is in its folder."),
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
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX", help="Images with the same match in their paths stay in one split."
        ),
    ] = None,
    split_file: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="The split.csv of an earlier run, to keep to."),
    ] = None,
    _options: SettingsFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Train a classifier on a folder of images.

    Without any option: the network `resnet9` on images of 96 x 96 pixels, trained with Muon for
    as many epochs as suit the number of images, which are mirrored and shifted a little. One
    folder of class folders is divided into 70 % training, 15 % validation and 15 % test images.

    Ctrl-C ends a training after its current step and keeps the best classifier so far;
    `--resume` goes on. `--from` goes on from a classifier with other images: classes are matched
    by name, new ones are added.

    A pretrained network (`--arch mobilenet_v3 --set weights=imagenet`) is trained in two phases:
    its head for `--epochs` on features that are computed once, then the whole network.

    Example: `imgclf train photos/ --epochs 20 --set filters=16`
    """
    given = _given(context)
    fixed: dict[str, Any]
    if resume is not None:
        _refuse("--resume", given, allowed=("resume", "arch", "as_json"))
        function = parse_architecture_file(arch if "arch" in given else None)
        finish(*_resume(resume, function), as_json)
        return
    if directory is None:
        raise typer.BadParameter("give DIR, the folder of images, or --resume RUN.")
    if start_from is not None:
        _refuse("--from", [name for name in given if name in FIXED_BY_BUNDLE], allowed=())
        function = parse_architecture_file(arch if "arch" in given else None)
        name, fixed = _architecture_of(start_from), {}
    else:
        # What --options reads from a file is a name and nothing else: only what is typed is run.
        architecture = parse_architecture(arch) if "arch" in given else arch
        name = architecture if isinstance(architecture, str) else architecture.__name__
        fixed = {
            "architecture": architecture,
            "options": parse_options(architecture, set_ or []),
            **({"image_size": parse_image_size(image_size)} if image_size else {}),
            "channels": 1 if grey else 3,
            "resize": resize,
        }
    _check_folders(directory, val, test)
    left_to_recipe: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": parse_batch_size(batch_size),
        "learning_rate": parse_learning_rate(learning_rate),
        "schedule": schedule,
        "optimizer": optimizer,
        "weight_decay": weight_decay,
        "label_smoothing": label_smoothing,
        "augment": augment,
    }
    chosen: dict[str, Any] = {
        **{name: value for name, value in left_to_recipe.items() if value is not None},
        "accumulate_steps": accumulate_steps,
        "budget_s": parse_budget(budget),
        "class_weight": "balanced" if balanced else None,
        "oversample": oversample,
        "patience": patience,
        "precision": precision,
        "freeze": freeze,
        "shrink_batch": batch_size == "auto",
        "two_phase": two_phase,
        "fine_tune_epochs": fine_tune_epochs,
        "fine_tune_learning_rate": fine_tune_rate,
        "seed": seed,
        "deterministic": deterministic,
        "tensorboard": tensorboard,
        "mlflow": mlflow,
        "store": store,
        "strict": strict,
        "group_by": group_by,
        "split_file": None if split_file is None else str(split_file),
    }
    console = error_console()
    if start_from is None:
        _mention_weights(console, architecture, fixed["options"])
    load_tensorflow(console, deterministic)
    from imgclf.classifiers.loader import load
    from imgclf.data.batches.augmentation import resolve_augmentation
    from imgclf.runs.folder import default_run_folder
    from imgclf.runs.settings import Settings, recipe_settings, settings_of
    from imgclf.workflow.training import run_training

    chosen = recipe_settings(recipe, directory, **chosen, **fixed)
    if mixup or cutmix:
        chosen["augment"] = resolve_augmentation(chosen["augment"], mixup=mixup, cutmix=cutmix)
    earlier = load(start_from, architecture=function) if start_from is not None else None
    settings = settings_of(earlier, **chosen) if earlier else Settings(**chosen)
    folder = run_dir or default_run_folder(name)
    switch = StopSwitch()
    with ScanBar(console) as scanning:
        run = run_training(
            directory,
            settings,
            val_dir=val,
            test_dir=test,
            run_dir=folder,
            start_from=earlier,
            watcher=make_watcher(console, scanning, switch),
        )
    finish(run, switch, as_json)


def _refuse(flag: str, given: Sequence[str], allowed: Sequence[str]) -> None:
    """Refuse parameters that contradict a flag."""
    others = [name for name in given if name not in allowed]
    if others:
        names = ", ".join("--" + name.strip("_").replace("_", "-") for name in others)
        raise typer.BadParameter(
            f"{names}: not together with {flag}, which takes that from what it goes on from."
        )


def _given(context: typer.Context) -> list[str]:
    """List the parameters that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]


def _architecture_of(bundle: Path) -> str:
    """Check a bundle to go on from, before TensorFlow is loaded."""
    from imgclf.classifiers.bundle import read_bundle

    return read_bundle(bundle).manifest.architecture.name


def _mention_weights(
    console: Console, architecture: str | Callable[..., Any], options: Mapping[str, Value]
) -> None:
    """Say that a network begins with random weights although pretrained ones can be had."""
    loaded = load_architecture(architecture)
    for option in loaded.options:
        names = option.range.names if isinstance(option.range, Weights) else ()
        if names and options.get(option.name, option.default) == WITHOUT_WEIGHTS:
            console.print(
                f"{loaded.name} begins with random weights; --set {option.name}={names[0]} "
                "begins with pretrained ones, which few images need.",
                markup=False,
            )


def _check_folders(directory: Path, val: Path | None, test: Path | None) -> None:
    """Refuse folders that cannot be trained on, before TensorFlow is loaded."""
    from imgclf.data.reading.layout import read_folder

    for folder, fewest in ((directory, 2), (val, 1), (test, 1)):
        if folder is not None:
            read_folder(folder, min_classes=fewest)


def _resume(
    run_dir: Path, architecture: Callable[..., Any] | None
) -> tuple[TrainingRun, StopSwitch]:
    """Go on with a run."""
    from imgclf.runs.folder import read_config

    require_path(run_dir)
    console = error_console()
    load_tensorflow(console, read_config(run_dir).get("deterministic", False))
    from imgclf.workflow.training import resume_training

    switch = StopSwitch()
    with ScanBar(console) as scanning:
        watcher = make_watcher(console, scanning, switch)
        run = resume_training(run_dir, architecture=architecture, watcher=watcher)
    return run, switch
