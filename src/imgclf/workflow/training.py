"""The whole way from a folder to a classifier: data -> model -> fit -> evaluate -> run folder."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras

from imgclf.arguments import checked_path
from imgclf.atomic import write_atomically
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.loader import load
from imgclf.clusters.connection import Cluster, connect, require_ray
from imgclf.data.batches.image_data import ImageData, build_data
from imgclf.data.division.samples import left_out_lines
from imgclf.data.reading.image_folder import Folders
from imgclf.data.reading.layout import read_folders
from imgclf.errors import (
    DataError,
    ImgclfError,
    OutOfMemoryError,
    TrainingError,
    WriteError,
    warn_of,
)
from imgclf.evaluation.evaluator import evaluate
from imgclf.machine.determinism import enable_determinism, require_determinism
from imgclf.machine.display import open_display
from imgclf.machine.precision import choose_precision
from imgclf.machine.terminal import shell_word
from imgclf.reports.documents import write_documents
from imgclf.runs.config import from_config, to_config
from imgclf.runs.folder import (
    BUNDLE_NAME,
    SPLIT_NAME,
    START_NAME,
    forget_run,
    is_trained,
    open_run_folder,
    read_config,
    read_split,
    split_csv,
    split_difference,
    split_rows,
    write_config,
)
from imgclf.runs.keywords import keywords_of
from imgclf.runs.record import read_run
from imgclf.runs.resolution import (
    improvement_of,
    make_plan,
    make_settings,
    resolve_for_folder,
)
from imgclf.runs.run_names import make_run_folder
from imgclf.runs.settings import Settings
from imgclf.training.checkpoints import newest_state
from imgclf.training.fit_result import FitResult
from imgclf.training.preconditions import checked_callbacks
from imgclf.training.stop_request import StopOnRequest
from imgclf.workflow.changed_images import keeping_best_epoch
from imgclf.workflow.cluster_training import learn_on_cluster
from imgclf.workflow.improvement import improve
from imgclf.workflow.interruption import held_interruption
from imgclf.workflow.learner import Learned, TrainingObserver, learn, plan_task
from imgclf.workflow.measurement import make_answer, measure_held_out
from imgclf.workflow.narration import narrated, result_lines
from imgclf.workflow.shared_task import ClusterRequest, make_request, require_shareable
from imgclf.workflow.situation import Situation
from imgclf.workflow.training_run import TrainingRun, recorded_fit, save_run
from imgclf.workflow.transfer import measure_before

__all__ = [
    "Settings",
    "TrainingObserver",
    "TrainingRun",
    "enable_determinism",
    "resume_training",
    "run_training",
    "train",
]


_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainKeywords(Settings):
    """What `train` takes beside the folder: every setting, and what is no value.

    Attributes:
        run_dir: The run folder; ``"auto"`` makes one in ``runs/``, None writes nothing.
        start_from: A classifier to go on from.
        callbacks: Keras callbacks.
        verbose: What is shown of the progress.
        cluster: The address of a Ray cluster that computes the training.
        train_workers: Number of workers there.
        allow_unauthenticated: Whether a cluster without a token is accepted.
    """

    run_dir: str | os.PathLike[str] | None = "auto"
    start_from: Classifier | str | os.PathLike[str] | None = None
    callbacks: keras.callbacks.Callback | Sequence[keras.callbacks.Callback] = ()
    verbose: int | bool | Literal["auto"] = "auto"
    cluster: str | None = None
    train_workers: int | None = None
    allow_unauthenticated: bool = False


@keywords_of(TrainKeywords)
def train(
    directory: str | os.PathLike[str],
    /,
    *,
    run_dir: str | os.PathLike[str] | None = "auto",
    start_from: Classifier | str | os.PathLike[str] | None = None,
    callbacks: keras.callbacks.Callback | Sequence[keras.callbacks.Callback] = (),
    verbose: int | bool | Literal["auto"] = "auto",
    cluster: str | None = None,
    train_workers: int | None = None,
    allow_unauthenticated: bool = False,
    **given: Any,
) -> Classifier:
    """Train a classifier on a folder of images: the whole way, with good defaults.

    One folder of class folders is divided 70/15/15 into training, validation and test images, with
    5,000 for validation at the most; ``train/``, ``val/`` and ``test/`` inside it are taken as they
    are. The validation images choose the best epoch, the test images give the figure in
    ``classifier.figures``.

    Args:
        directory: The folder.
        run_dir: The run folder: classifier, settings, division, history and report. ``"auto"``
            makes ``runs/DATE-NETWORK`` in the working directory, to which ``runs/last`` leads; None
            writes none.
        start_from: A classifier to go on from, or the path of its file; its architecture, options
            and input are kept. Classes are matched by name; new ones are added, missing ones
            dropped.
        callbacks: Any Keras callbacks, or one.
        verbose: ``"auto"`` or 1 shows the progress, and what came of it: in a terminal, in a
            notebook, or as lines on standard error. 2 shows the lines alone, 0 nothing.
        cluster: Train on a Ray cluster, each batch shared by its workers: ``"HOST:PORT"``,
            ``"auto"`` or ``"local"``. Needs the extra ``ray``, a named architecture, and the
            folder under the same path on every machine.
        train_workers: Workers there, 1 or more; None is one for each machine.
        allow_unauthenticated: Whether a cluster without a token is accepted.
        **given: The settings.

    Returns:
        The classifier; its ``figures`` say how good it is. In a notebook it shows itself.

    Warns:
        DataWarning: Files could not be used, and `verbose` is 0.

    Raises:
        DataError: The folder cannot be used; the message says what to change.
        UnknownArchitectureError: The architecture is not installed.
        ArgumentError: A setting is unknown or not accepted.
        RunFolderError: `run_dir` is in use or holds a run already.
        ClusterError: The cluster cannot be reached, has no room, or lost workers too often.
        KeyboardInterrupt: Ctrl-C; with a run folder, the best classifier so far is in it then, with
            its figures, and the message says where. A second Ctrl-C does not wait for that.

    Example:
        >>> clf = imgclf.train("photos/", epochs=20)            # doctest: +SKIP
        >>> clf.figures.accuracy                                # doctest: +SKIP
    """
    checked_path("directory", directory)
    if start_from is not None and not isinstance(start_from, Classifier):
        function = given.get("architecture")
        start_from = load(
            checked_path("start_from", start_from),
            architecture=function if callable(function) else None,
        )
    settings = make_settings(given, start_from)
    given_callbacks = checked_callbacks(callbacks)
    request = make_request(cluster, train_workers, allow_unauthenticated=allow_unauthenticated)
    place = partial(make_run_folder, _name_of(settings)) if run_dir == "auto" else run_dir
    keeps = place is not None
    with open_display(verbose) as display, held_interruption() as interruption:
        observer = narrated(
            display,
            callbacks=given_callbacks,
            scanned=interruption.arm if keeps else lambda: None,
            stop_requested=interruption.has_come if keeps else None,
        )
        run = run_training(
            directory,
            settings,
            run_dir=place,
            start_from=start_from,
            observer=observer,
            request=request,
        )
        if display is None:
            warn_of(left_out_lines(run.data.quarantined))
        else:
            display.clear()
            for text, tone in result_lines(run):
                display.say(text, tone)
    if interruption.has_come():
        raise _interrupted(run)
    return run.classifier


def _interrupted(run: TrainingRun) -> KeyboardInterrupt:
    """Make the error of a training that Ctrl-C has ended, which says where its classifier is."""
    assert run.bundle is not None
    text = f"The best classifier so far is {run.bundle}."
    if run.stopped:
        text += f" To go on: imgclf train --resume {shell_word(str(run.bundle.parent))}"
    _logger.info("%s", text)
    return KeyboardInterrupt(text)


def _name_of(settings: Settings) -> str:
    """Return the network's name, which a run folder has in its own."""
    architecture = settings.architecture
    return architecture if isinstance(architecture, str) else architecture.__name__


def run_training(
    directory: str | os.PathLike[str],
    settings: Settings,
    *,
    folders: Folders | None = None,
    run_dir: str | os.PathLike[str] | Callable[[], Path] | None = None,
    start_from: Classifier | None = None,
    observer: TrainingObserver | None = None,
    request: ClusterRequest | None = None,
) -> TrainingRun:
    """Train as `train` does, and return all that was learned on the way.

    Args:
        directory: The folder.
        settings: Every choice; what they leave open is chosen by the recipe.
        folders: What `read_folders` has read of the folders already; None reads them.
        run_dir: A folder for what the training leaves behind, or what makes it once nothing is
            refused; None writes nothing.
        start_from: A classifier to go on from; `settings` are those that `make_settings` gave.
        observer: Told how it goes on.
        request: The cluster that computes the training; None trains in this process.

    Returns:
        The classifier with figures, history and durations.

    Raises:
        DataError: The folder cannot be used.
        ArgumentError: A setting is not accepted.
        RunFolderError: `run_dir` is in use or holds a run already.
    """
    make_plan(directory, settings)  # A mistake is refused before the folder is read.
    observer = observer or TrainingObserver()
    if request is not None:
        require_shareable(settings, has_callbacks=bool(observer.callbacks))
        require_ray()
    folders = folders or read_folders(directory, settings.val_dir, settings.test_dir)
    resolve_for_folder(settings, folders["train"])
    place = run_dir() if callable(run_dir) else run_dir
    with open_run_folder(place) if place is not None else nullcontext() as folder:
        try:
            return _train(
                directory, folders, settings, folder, observer,
                start_from=start_from, request=request,
            )  # fmt: skip
        except (WriteError, TrainingError) as error:
            # Once there is room, it goes on; what needs too much memory never does.
            if isinstance(error, OutOfMemoryError):
                _forget_beginning(folder)
            raise
        except ImgclfError:
            _forget_beginning(folder)
            raise


def _forget_beginning(folder: Path | None) -> None:
    """Empty the folder of a training that was refused; one that has learned something stays."""
    if folder is None or (folder / BUNDLE_NAME).exists():
        return
    state = newest_state(folder / "checkpoints")
    if state is None or state.epoch + state.step == 0:
        forget_run(folder)


def resume_training(
    run_dir: str | os.PathLike[str],
    *,
    architecture: Callable[..., keras.Model] | None = None,
    observer: TrainingObserver | None = None,
    request: ClusterRequest | None = None,
) -> TrainingRun:
    """Go on with a run that was stopped or killed, from its newest checkpoint.

    A run whose training is over lacks documents at the most: they are made, and its figures are
    measured once more.

    Args:
        run_dir: Its run folder.
        architecture: The architecture function, where no package provides it: a run folder names
            it and is never trusted to run it.
        observer: Who is told how it goes on.
        request: The cluster that computes the rest; None trains in this process, wherever the run
            began.

    Returns:
        What the uncut training would have returned.

    Raises:
        RunFolderError: The folder holds no unfinished run, another process trains in it, or its
            architecture function has to be given again, or a file cannot be written.
        DataError: The images are not those of the run; the first differences are named.
    """
    with open_run_folder(run_dir, resume=True) as folder:
        directory, settings = from_config(read_config(folder), architecture)
        if request is not None:
            require_shareable(settings)
        go_on = _complete if is_trained(folder) else partial(_train, request=request)
        return go_on(
            directory,
            read_folders(directory, settings.val_dir, settings.test_dir),
            settings,
            folder,
            observer or TrainingObserver(),
            start_from=_recorded_start(folder, settings),
            recorded_split=read_split(folder),
        )


def _train(
    directory: str | os.PathLike[str],
    folders: Folders,
    given: Settings,
    folder: Path | None,
    observer: TrainingObserver,
    *,
    start_from: Classifier | None = None,
    recorded_split: bytes | None = None,
    request: ClusterRequest | None = None,
) -> TrainingRun:
    """Go the whole way, in a run folder that is held, or in none."""
    began_s = time.monotonic()
    require_determinism(given.deterministic)
    kind = improvement_of(given, goes_on=start_from is not None) if request is None else None
    settings = resolve_for_folder(given, folders["train"])
    if kind is not None:  # The first answer: a head on frozen features.
        settings = replace(settings, budget=None, two_phase=True, fine_tune_epochs=0)
    task = plan_task(make_plan(directory, settings), folders, settings, folder, observer)
    with _connected(request) as cluster:
        data = build_data(task.plan, observer.scanning, folders=folders, cluster=cluster)
        observer.scanned(data)
        precision = choose_precision(settings.precision)
        split, split_sha256 = split_csv(split_rows(data))
        if recorded_split is not None:
            _require_same_images(recorded_split, split)
        elif folder is not None:
            write_atomically(folder / SPLIT_NAME, split)
            if (
                start_from is not None
            ):  # Without a checkpoint yet, a resumed run begins with it again.
                start_from.save(folder / START_NAME)
            write_config(folder, to_config(task.plan, given if kind else task.settings, precision))
        scanned_s = time.monotonic()

        stopping = StopOnRequest(observer.stop_requested)
        course = None
        if kind is None:
            if request is None or cluster is None:
                learned = learn(task, data, observer, stopping, start_from)
            else:
                learned = learn_on_cluster(
                    task,
                    data,
                    observer,
                    stopping,
                    start_from,
                    cluster,
                    request.num_workers,
                    split_sha256,
                )
            with keeping_best_epoch(
                learned.model, data, folder, mirrored=settings.mirrored_prediction
            ):
                answer = make_answer(learned, split_sha256)
        else:

            def learn_head(images: ImageData, stopping: StopOnRequest) -> Learned:
                return learn(replace(task, folder=None), images, observer, stopping, start_from)

            situation = Situation(
                os.fspath(directory), folders, data, given, kind, folder, split_sha256, began_s
            )
            answer, course = improve(learn_head, situation, observer, stopping)
    fitted_s = time.monotonic()
    learned = answer.learned
    with keeping_best_epoch(learned.model, data, folder, mirrored=settings.mirrored_prediction):
        held_out = measure_held_out(answer.classifier, learned.data)
    evaluated_s = time.monotonic()

    num_seen = _num_passes(learned.fitted) * data.train.images_per_epoch
    run = TrainingRun(
        classifier=held_out.classifier,
        evaluation=held_out.evaluation,
        headline_split=held_out.split,
        data=learned.data,
        fitted=learned.fitted,
        precision=choose_precision(learned.settings.precision, learned.model),
        images_per_s=num_seen / (fitted_s - scanned_s),
        predict_images_per_s=held_out.images_per_s,
        val_probabilities=answer.val_probabilities,
        durations_s={
            "scan": scanned_s - began_s,
            "fit": fitted_s - scanned_s,
            "evaluate": evaluated_s - fitted_s,
        },
        bundle=folder / BUNDLE_NAME if folder is not None else None,
        stopped=stopping.stopped,
        before=measure_before(start_from, data.test or data.val) if start_from else None,
        course=course,
    )
    if folder is None:
        return run
    save_run(folder, run, learned.settings)
    saved = run.classifier.with_changes(file=(folder / BUNDLE_NAME).absolute())
    return replace(run, classifier=saved)


def _connected(request: ClusterRequest | None) -> AbstractContextManager[Cluster | None]:
    """Connect to the cluster that is asked for, if one is."""
    if request is None:
        return nullcontext()
    return connect(request.address, allow_unauthenticated=request.allow_unauthenticated)


def _complete(
    directory: str | os.PathLike[str],
    folders: Folders,
    given: Settings,
    folder: Path,
    observer: TrainingObserver,
    *,
    start_from: Classifier | None,
    recorded_split: bytes,
) -> TrainingRun:
    """Make the documents of a run whose training is over, and measure its figures once more."""
    classifier = _load(folder / BUNDLE_NAME, given)
    settings = resolve_for_folder(given, folders["train"])
    plan = replace(make_plan(directory, settings), policy=classifier.policy)
    data = build_data(plan, observer.scanning, folders=folders)
    observer.scanned(data)
    _require_same_images(recorded_split, split_csv(split_rows(data))[0])
    write_documents(folder, classifier)
    run = read_run(folder)
    return TrainingRun(
        classifier=classifier,
        evaluation=evaluate(classifier, data.test or data.val),
        headline_split=run.record["split"],
        data=data,
        fitted=recorded_fit(run),
        precision=run.record["precision"],
        images_per_s=run.record["images_per_s"],
        predict_images_per_s=run.record["predict_images_per_s"],
        val_probabilities=classifier.predict_pixels(data.val.pixels()),
        durations_s=run.record["durations_s"],
        bundle=folder / BUNDLE_NAME,
        before=measure_before(start_from, data.test or data.val) if start_from else None,
    )


def _recorded_start(folder: Path, settings: Settings) -> Classifier | None:
    """Return the classifier that a run went on from, if it did."""
    return _load(folder / START_NAME, settings) if (folder / START_NAME).exists() else None


def _load(bundle: Path, settings: Settings) -> Classifier:
    """Load a classifier of a run, whose architecture is installed or was given again."""
    function = None if isinstance(settings.architecture, str) else settings.architecture
    return load(bundle, architecture=function)


def _num_passes(fitted: FitResult) -> int:
    """Count how often the training images went through the network: once for all head epochs."""
    return fitted.epochs - fitted.head_epochs + min(1, fitted.head_epochs)


def _require_same_images(recorded: bytes, found: bytes) -> None:
    difference = split_difference(recorded, found)
    if difference:
        raise DataError(
            f"The images are not those of the run ({difference}): restore them, or train again in "
            "another run folder."
        )
