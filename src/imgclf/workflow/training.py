"""The whole way from a folder to a classifier: data -> model -> fit -> evaluate -> bundle."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from imgclf.atomic import write_atomically
from imgclf.classifiers.bundle import DataRecord
from imgclf.classifiers.calibrating import calibrate
from imgclf.classifiers.calibration import apply_temperature
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.familiarising import learn_familiarity
from imgclf.classifiers.fingerprints import TrainingTraces, trace_training
from imgclf.classifiers.loader import load
from imgclf.data.batches.generators import Batches, ImageData, Plan
from imgclf.errors import DataError
from imgclf.evaluation.evaluator import Evaluation, evaluate
from imgclf.machine.determinism import enable_determinism, require_determinism
from imgclf.machine.precision import choose_precision
from imgclf.reports.documents import write_documents
from imgclf.runs.folder import (
    BUNDLE_NAME,
    START_NAME,
    mark_stopped,
    open_run_folder,
    read_config,
    split_csv,
    split_difference,
    write_config,
    write_history,
)
from imgclf.runs.settings import (
    Settings,
    from_config,
    make_plan,
    recipe_settings,
    settings_of,
    to_config,
)
from imgclf.training.fit_result import FitResult
from imgclf.training.recipes import RecipeName
from imgclf.training.stop_request import StopOnRequest
from imgclf.workflow.learner import Watcher, learn, plan_task
from imgclf.workflow.transfer import measure_before
from imgclf.zoo.registry import load_architecture

__all__ = [
    "Settings",
    "TrainingRun",
    "Watcher",
    "enable_determinism",
    "resume_training",
    "run_training",
    "train",
]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRun:
    """What a training gave.

    Attributes:
        classifier: The classifier of the best epoch.
        evaluation: Its figures on held-out images, in float32.
        headline_split: ``"test"``, or ``"val"`` where no test images were given: those also chose
            the epoch.
        data: The images.
        fit: The figures of each epoch, in training precision, and the best epoch.
        precision: The precision of the training steps.
        images_per_s: Training images per second, validation included.
        predict_images_per_s: Held-out images that were answered per second, in float32, from
            decoded pixels.
        val_probabilities: float64 ``(num_images, num_classes)``, calibrated, of the validation
            images.
        durations_s: Seconds of each part.
        bundle: The saved bundle; None without a run folder.
        stopped: Whether the training was asked to end before its last epoch.
        before: What the classifier that it went on from scores on the same images, of the classes
            that it knows; None without one.
    """

    classifier: Classifier
    evaluation: Evaluation
    headline_split: Literal["test", "val"]
    data: ImageData
    fit: FitResult
    precision: str
    images_per_s: float
    predict_images_per_s: float
    val_probabilities: NDArray[np.float64]
    durations_s: Mapping[str, float]
    bundle: Path | None
    stopped: bool = False
    before: Evaluation | None = None


def train(
    directory: str | os.PathLike[str],
    *,
    val_dir: str | os.PathLike[str] | None = None,
    test_dir: str | os.PathLike[str] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    start_from: Classifier | None = None,
    recipe: RecipeName = "fast",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **settings: Any,
) -> Classifier:
    """Train a classifier on a folder of images: the whole way, with good defaults.

    One folder of class folders is divided 70/15/15 into training, validation and test images, with
    5,000 for validation at the most; ``train/``, ``val/`` and ``test/`` inside it are taken as they
    are. The validation images choose the best epoch, the test images give the figure in
    ``classifier.figures``.

    Args:
        directory: The folder.
        val_dir: Another folder with the validation images.
        test_dir: Another folder with the test images.
        run_dir: A folder for the bundle, the settings, the division and the history; None
            writes none.
        start_from: A classifier to go on from, on these images; its architecture, options and input
            are kept. Classes are matched by name; new ones are added, missing ones dropped.
        recipe: Gives whatever `settings` leave open, for the number of images: ``"fast"``,
            ``"best"`` (takes several times as long) or ``"recipe"`` (the beginner's values).
        callbacks: Any Keras callbacks.
        **settings: Fields of `imgclf.runs.settings.Settings`, such as ``architecture``, ``options``,
            ``image_size``, ``epochs``, ``batch_size``, ``learning_rate``, ``augment`` and
            ``seed``.

    Returns:
        The classifier; its ``figures`` say how good it is.

    Raises:
        DataError: The folder cannot be used; the message says what to change.
        UnknownArchitectureError: The architecture is not installed.
        ArgumentError: A setting is not accepted.
        RunFolderError: `run_dir` is in use or holds a run already.

    Example:
        >>> clf = imgclf.train("photos/", epochs=20)            # doctest: +SKIP
        >>> clf.figures.accuracy                                # doctest: +SKIP
    """
    watcher = Watcher(callbacks=callbacks)
    make_plan(directory, Settings(**settings))  # A mistake is refused before the folder is read.
    settings = recipe_settings(recipe, directory, **settings)
    chosen = settings_of(start_from, **settings) if start_from else Settings(**settings)
    run = run_training(
        directory,
        chosen,
        val_dir=val_dir,
        test_dir=test_dir,
        run_dir=run_dir,
        start_from=start_from,
        watcher=watcher,
    )
    return run.classifier


def run_training(
    directory: str | os.PathLike[str],
    settings: Settings,
    *,
    val_dir: str | os.PathLike[str] | None = None,
    test_dir: str | os.PathLike[str] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    start_from: Classifier | None = None,
    watcher: Watcher | None = None,
) -> TrainingRun:
    """Train as `train` does, and return all that was learned on the way.

    Args:
        directory: The folder.
        settings: Every choice.
        val_dir: Another folder with the validation images.
        test_dir: Another folder with the test images.
        run_dir: A folder for what the training leaves behind; None writes nothing.
        start_from: A classifier to go on from; `settings` must be those of `settings_of` it.
        watcher: Who is told how it goes on.

    Returns:
        The classifier with figures, history and durations.
    """
    plan = make_plan(directory, settings, val_dir=val_dir, test_dir=test_dir)
    watcher = watcher or Watcher()
    with open_run_folder(run_dir) if run_dir is not None else nullcontext() as folder:
        return _train(plan, settings, folder, watcher, start_from=start_from)


def resume_training(
    run_dir: str | os.PathLike[str], *, watcher: Watcher | None = None
) -> TrainingRun:
    """Go on with a training that was stopped or killed, from its newest checkpoint.

    Args:
        run_dir: Its run folder.
        watcher: Who is told how it goes on.

    Returns:
        What the uncut training would have returned.

    Raises:
        RunFolderError: The folder holds no unfinished run, or another process trains in it.
        DataError: The images are not those of the run; the first differences are named.
    """
    with open_run_folder(run_dir, resume=True) as folder:
        plan, settings = from_config(read_config(folder))
        recorded = (folder / "split.csv").read_bytes()
        return _train(
            plan,
            settings,
            folder,
            watcher or Watcher(),
            start_from=_recorded_start(folder, settings),
            recorded_split=recorded,
        )


def _train(
    plan: Plan,
    settings: Settings,
    folder: Path | None,
    watcher: Watcher,
    *,
    start_from: Classifier | None = None,
    recorded_split: bytes | None = None,
) -> TrainingRun:
    """Go the whole way, in a run folder that is held, or in none."""
    began_s = time.monotonic()
    require_determinism(settings.deterministic)
    task = plan_task(plan, settings, folder, watcher)
    data = task.plan.build(watcher.scanning)
    watcher.scanned(data)
    precision = choose_precision(settings.precision)
    split, split_sha256 = split_csv(_split_rows(data))
    if recorded_split is not None:
        _require_same_images(recorded_split, split)
    elif folder is not None:
        write_atomically(folder / "split.csv", split)
        if start_from is not None:  # Without a checkpoint yet, a resumed run begins with it again.
            start_from.save(folder / START_NAME)
        write_config(folder, to_config(task.plan, task.settings, precision))
    scanned_s = time.monotonic()

    stopping = StopOnRequest(watcher.stop_requested)
    learned = learn(task, data, watcher, stopping, start_from)
    model, data = learned.model, learned.data
    settings = learned.settings
    fitted_s = time.monotonic()

    classifier = Classifier(model, data.train)
    classifier.mirrored = settings.mirrored_prediction
    val_probabilities = classifier.predict_pixels(data.val.pixels())
    classifier.calibration = calibrate(data.val.labels, val_probabilities)
    classifier.familiarity = learn_familiarity(classifier, data.train, data.val)
    classifier.traces = _traces(data.train)
    measured_s = time.monotonic()
    evaluation = evaluate(classifier, data.test or data.val)
    predict_images_per_s = len(evaluation.paths) / max(time.monotonic() - measured_s, 1e-9)
    headline_split: Literal["test", "val"] = "test" if data.test else "val"
    classifier.figures = evaluation.figures(headline_split)
    classifier.data = _data_record(data, split_sha256, settings.seed)
    evaluated_s = time.monotonic()

    bundle = None
    if folder is not None:
        write_history(folder, learned.fit.history)
        bundle = classifier.save(folder / BUNDLE_NAME)
        mark_stopped(folder, stopping.stopped)
    num_seen = _num_passes(learned.fit) * data.train.images_per_epoch
    run = TrainingRun(
        classifier=classifier,
        evaluation=evaluation,
        headline_split=headline_split,
        data=data,
        fit=learned.fit,
        precision=precision,
        images_per_s=num_seen / (fitted_s - scanned_s),
        predict_images_per_s=predict_images_per_s,
        val_probabilities=apply_temperature(val_probabilities, classifier.calibration.temperature),
        durations_s={
            "scan": scanned_s - began_s,
            "fit": fitted_s - scanned_s,
            "evaluate": evaluated_s - fitted_s,
        },
        bundle=bundle,
        stopped=stopping.stopped,
        before=measure_before(start_from, data.test or data.val) if start_from else None,
    )
    if folder is not None:
        write_documents(folder, run, settings)
    return run


def _recorded_start(folder: Path, settings: Settings) -> Classifier | None:
    """Return the classifier that a run went on from, if it did."""
    if not (folder / START_NAME).exists():
        return None
    loaded = load_architecture(settings.architecture)
    function = loaded.function if loaded.registration is None else None
    return load(folder / START_NAME, architecture=function)


def _num_passes(result: FitResult) -> int:
    """Count how often the training images went through the network: once for all head epochs."""
    return result.epochs - result.head_epochs + min(1, result.head_epochs)


def _require_same_images(recorded: bytes, found: bytes) -> None:
    difference = split_difference(recorded, found)
    if difference:
        raise DataError(
            f"The images are not those of the run ({difference}): restore them, or train anew in "
            "another run folder."
        )


def _split_rows(data: ImageData) -> list[tuple[str, str, str, str]]:
    names = data.train.class_names
    return [
        (sample.path, sample.sha256, names[sample.label], split)
        for split, batches in (("train", data.train), ("val", data.val), ("test", data.test))
        if batches is not None
        for sample in batches.samples
    ]


def _traces(train: Batches) -> TrainingTraces:
    sha256 = [sample.sha256 for sample in train.samples]
    return trace_training(train.pixels(), train.labels, sha256, train.num_classes)


def _data_record(data: ImageData, split_sha256: str, seed: int) -> DataRecord:
    return DataRecord(
        num_train=data.train.num_samples,
        num_val=data.val.num_samples,
        num_test=data.test.num_samples if data.test else 0,
        split_sha256=split_sha256,
        seed=seed,
    )
