"""`imgclf train`: from a folder of images to a classifier."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgclf.cli._console import error_console
from imgclf.cli._help import HelpAllFlag
from imgclf.cli._parameters import (
    JsonFlag,
    find_classifier,
    parse_architecture_file,
    require_path,
)
from imgclf.cli._settings import (
    COMMON,
    RETRAINING,
    SettingsFile,
    read_settings_file,
    with_settings,
)
from imgclf.cli._signals import StopSwitch
from imgclf.cli._training import finish, load_tensorflow, shown_training
from imgclf.options import WITHOUT_WEIGHTS, Weights
from imgclf.runs.settings import AUTOMATIC, Settings
from imgclf.workflow.shared_task import ClusterRequest, make_request, require_shareable
from imgclf.zoo.registry import load_architecture

if TYPE_CHECKING:
    from rich.console import Console

    from imgclf.workflow.training import TrainingRun

MACHINES = "Several machines"

FIXED_BY_CLASSIFIER = (
    "options", "image_size", "channels", "resize", "data_format",
)  # fmt: skip
"""Settings that `--start-from` takes from the classifier; a file holds no function."""


@with_settings()
def train(
    given: dict[str, Any],
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="Folder of class folders, or of train/, val/ and test/; or a ZIP or CSV.",
        ),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Run folder. Default: runs/DATE-NETWORK. runs/last is the newest in runs/.",
            rich_help_panel=COMMON,
        ),
    ] = None,
    settings_file: SettingsFile = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--start-from",
            "--from",
            metavar="FILE",
            help="Start from this classifier, or the folder of its run.",
            rich_help_panel=RETRAINING,
            callback=find_classifier,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Resume a stopped run, with its own settings.",
            rich_help_panel=RETRAINING,
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Train on a Ray cluster: HOST:PORT, auto or local; needs imgclf[ray] and --arch.",
            rich_help_panel=MACHINES,
        ),
    ] = None,
    train_workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Workers that share each batch. Default: one for each machine.",
            rich_help_panel=MACHINES,
        ),
    ] = None,
    allow_unauthenticated: Annotated[
        bool,
        typer.Option(
            "--allow-unauthenticated",
            help="Accept a cluster without a token: anyone who reaches it can run code on it.",
            rich_help_panel=MACHINES,
        ),
    ] = False,
    as_json: JsonFlag = False,
    help_all: HelpAllFlag = False,  # noqa: ARG001 - it has done its work when it is read
) -> None:
    """Train a classifier on a folder of images.

    Without options it begins with a pretrained network, which gives a first answer within seconds,
    and goes on for five minutes at the most with what makes it better. One folder of class folders
    is divided into 70% training, 15% validation and 15% test images.

    Ctrl-C stops a training after its current step and keeps the best classifier so far; `--resume`
    continues it. `--from` trains an existing classifier on other images: classes are matched by
    name, new ones are added.

    A network is named with `--arch`. One with pretrained weights is trained in two phases: the head
    for `--epochs` on frozen features, then all but its first layers (fine-tuning).

    Example: `imgclf train photos/`
    """
    request = make_request(cluster, train_workers, allow_unauthenticated=allow_unauthenticated)
    if resume is not None:
        others = {"run_dir": run_dir, "settings": settings_file, "start_from": start_from}
        named = {*given, *(name for name, value in others.items() if value)}
        _refuse("--resume", named - {"architecture"})
        function = parse_architecture_file(given.get("architecture"))
        finish(*_resume(resume, function, request), as_json)
        return
    from imgclf.data.reading.layout import read_folders

    if directory is None:
        raise typer.BadParameter("give DIR, the folder of images, or --resume RUN.")
    if start_from is not None:
        _refuse("--start-from", given.keys() & set(FIXED_BY_CLASSIFIER))
        function = parse_architecture_file(given.pop("architecture", None))
    given = read_settings_file(settings_file, given)
    settings = Settings(**given)
    if request is not None and start_from is None:
        require_shareable(settings)  # before TensorFlow is loaded
    bundle = None
    if start_from:
        from imgclf.classifiers.bundle import read_bundle

        bundle = read_bundle(start_from)  # before TensorFlow is loaded
    architecture = bundle.manifest.architecture.name if bundle else settings.architecture
    name = architecture if isinstance(architecture, str) else architecture.__name__
    folders = read_folders(directory, settings.val_dir, settings.test_dir)
    console = error_console()
    if start_from is None:
        _mention_weights(console, architecture, settings.options)
    load_tensorflow(console, settings.deterministic)
    from imgclf.classifiers.loader import build_classifier
    from imgclf.runs.resolution import make_settings
    from imgclf.runs.run_names import make_run_folder
    from imgclf.workflow.training import run_training

    earlier = None
    if bundle is not None and start_from is not None:
        earlier = build_classifier(bundle, start_from, architecture=function)
    switch = StopSwitch()
    with shown_training(console, switch) as observer:
        run = run_training(
            directory,
            make_settings(given, earlier),
            folders=folders,
            run_dir=run_dir or partial(make_run_folder, name),
            start_from=earlier,
            observer=observer,
            request=request,
        )
    finish(run, switch, as_json)


def _refuse(flag: str, names: Collection[str]) -> None:
    """Refuse options that contradict a flag."""
    if names:
        listed = ", ".join("--" + name.replace("_", "-") for name in sorted(names))
        raise typer.BadParameter(f"{listed} cannot be combined with {flag}, which fixes it.")


def _mention_weights(
    console: Console, architecture: str | Callable[..., Any], options: Mapping[str, Any]
) -> None:
    """Tell that a network starts from random weights although pretrained ones exist."""
    if architecture == AUTOMATIC:
        return
    loaded = load_architecture(architecture)
    for option in loaded.options:
        names = option.range.names if isinstance(option.range, Weights) else ()
        if names and options.get(option.name, option.default) == WITHOUT_WEIGHTS:
            console.print(
                f"{loaded.name} starts from random weights; with few images, start from pretrained "
                f"ones: --set {option.name}={names[0]}",
                markup=False,
            )


def _resume(
    run_dir: Path, architecture: Callable[..., Any] | None, request: ClusterRequest | None
) -> tuple[TrainingRun, StopSwitch]:
    """Resume a run."""
    from imgclf.runs.folder import read_config

    require_path(run_dir)
    console = error_console()
    load_tensorflow(console, read_config(run_dir).get("deterministic", False))
    from imgclf.workflow.training import resume_training

    switch = StopSwitch()
    with shown_training(console, switch) as observer:
        run = resume_training(
            run_dir, architecture=architecture, observer=observer, request=request
        )
    return run, switch
