"""The whole way from a folder to a classifier: data -> model -> fit -> evaluate -> bundle."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import keras

from imgclf.bundle import DataRecord, Figures
from imgclf.classifier import Classifier
from imgclf.data.augmentation import Augmentation, resolve_augmentation
from imgclf.data.generators import ImageData, Plan
from imgclf.data.policy import DataFormat, InputPolicy, ResizeMode
from imgclf.data.store import StoreMode
from imgclf.evaluation.evaluating import Evaluation, evaluate
from imgclf.models import build_model
from imgclf.options import Value
from imgclf.run_folder import open_run_folder, split_csv, write_config, write_history
from imgclf.training.fitting import fit
from imgclf.training.precision import Precision, choose_precision
from imgclf.training.schedules import Schedule, make_schedule

__all__ = ["Settings", "TrainingRun", "run_training", "train"]

VAL_SHARE = 0.15
TEST_SHARE = 0.15
"""How one folder is cut: 70 % to learn from, 15 % to choose the epoch, 15 % for the headline."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Every choice of a training; the defaults are those of `imgclf.train`.

    Attributes:
        architecture: An installed name or an architecture function.
        options: Options of the architecture.
        image_size: ``(height, width)`` in pixels.
        channels: 3 for colour, 1 for grey.
        resize: ``"stretch"``, ``"crop"`` or ``"pad"``.
        data_format: Order of the axes of batches and network.
        epochs: Passes over the training images.
        batch_size: Images per batch.
        learning_rate: The highest rate.
        schedule: ``"cosine"`` or ``"constant"``.
        optimizer: ``"adam"``, ``"adamw"``, ``"rmsprop"`` or ``"sgd"``.
        augment: A preset's name or an `Augmentation`.
        class_weight: ``"balanced"`` or None.
        patience: Epochs without a better one after which the training ends; None never.
        precision: Of the training steps.
        seed: Decides split, order, augmentation and initial weights.
        store: Where decoded pixels are kept.
        strict: Whether one unusable file stops everything.
    """

    architecture: str | Callable[..., keras.Model] = "resnet9"
    options: Mapping[str, Value] = field(default_factory=dict)
    image_size: tuple[int, int] = (96, 96)
    channels: Literal[1, 3] = 3
    resize: ResizeMode = "stretch"
    data_format: DataFormat = "channels_last"
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    optimizer: str = "adam"
    augment: str | Augmentation = "light"
    class_weight: Literal["balanced"] | None = None
    patience: int | None = None
    precision: Precision = "auto"
    seed: int = 0
    store: StoreMode = "auto"
    strict: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRun:
    """What a training gave.

    Attributes:
        classifier: The classifier of the best epoch.
        evaluation: Its figures on held-out images, in float32.
        headline_split: ``"test"``, or ``"val"`` where no test images were given: those also chose
            the epoch.
        data: The images.
        history: Keras' history, in training precision.
        precision: The precision of the training steps.
        images_per_s: Training images per second, validation included.
        durations_s: Seconds of each part.
        bundle: The saved bundle; None without a run folder.
    """

    classifier: Classifier
    evaluation: Evaluation
    headline_split: Literal["test", "val"]
    data: ImageData
    history: keras.callbacks.History
    precision: str
    images_per_s: float
    durations_s: Mapping[str, float]
    bundle: Path | None


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told how a training goes on; each does nothing by default.

    Attributes:
        scanning: Called with the number of files done and in all.
        scanned: Called with the images once they are known.
        callbacks: Keras callbacks.
        verbose: Whether the training's progress is drawn on standard error.
    """

    scanning: Callable[[int, int], None] | None = None
    scanned: Callable[[ImageData], None] = lambda _data: None
    callbacks: Sequence[keras.callbacks.Callback] = ()
    verbose: bool = False


def train(
    directory: str | os.PathLike[str],
    *,
    val_dir: str | os.PathLike[str] | None = None,
    test_dir: str | os.PathLike[str] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **settings: Any,
) -> Classifier:
    """Train a classifier on a folder of images: the whole way, with good defaults.

    One folder of class folders is divided 70/15/15 into training, validation and test images;
    ``train/``, ``val/`` and ``test/`` inside it are taken as they are. The validation images choose
    the best epoch, the test images give the figure in ``classifier.figures``.

    Args:
        directory: The folder.
        val_dir: Another folder with the validation images.
        test_dir: Another folder with the test images.
        run_dir: A folder for the bundle, the settings, the division and the history; None
            writes none.
        callbacks: Any Keras callbacks.
        **settings: Fields of `imgclf.workflow.Settings`, such as ``architecture``, ``options``,
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
    run = run_training(
        directory, Settings(**settings), val_dir=val_dir, test_dir=test_dir, run_dir=run_dir,
        watcher=watcher,
    )  # fmt: skip
    return run.classifier


def run_training(
    directory: str | os.PathLike[str],
    settings: Settings,
    *,
    val_dir: str | os.PathLike[str] | None = None,
    test_dir: str | os.PathLike[str] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    watcher: Watcher | None = None,
) -> TrainingRun:
    """Train as `train` does, and return all that was learned on the way.

    Args:
        directory: The folder.
        settings: Every choice.
        val_dir: Another folder with the validation images.
        test_dir: Another folder with the test images.
        run_dir: A folder for what the training leaves behind; None writes nothing.
        watcher: Who is told how it goes on.

    Returns:
        The classifier with figures, history and durations.
    """
    plan = make_plan(directory, settings, val_dir=val_dir, test_dir=test_dir)
    watcher = watcher or Watcher()
    with open_run_folder(run_dir) if run_dir is not None else nullcontext() as folder:
        began_s = time.monotonic()
        data = plan.build(watcher.scanning)
        watcher.scanned(data)
        scanned_s = time.monotonic()

        precision = choose_precision(settings.precision)
        model = build_model(
            settings.architecture,
            data.train.input_shape,
            data.train.num_classes,
            data_format=settings.data_format,
            seed=settings.seed,
            **settings.options,
        )
        if folder is not None:
            split_sha256 = _write_split(folder, data)
            write_config(folder, _config(plan, settings, precision))
        else:
            split_sha256 = split_csv(_split_rows(data))[1]

        num_steps = settings.epochs * data.train.steps_per_epoch
        history = fit(
            model,
            data.train,
            data.val,
            epochs=settings.epochs,
            learning_rate=make_schedule(settings.schedule, settings.learning_rate, num_steps),
            optimizer=settings.optimizer,
            class_weight=settings.class_weight,
            patience=settings.patience,
            callbacks=watcher.callbacks,
            precision=settings.precision,
            verbose=watcher.verbose,
        )
        fitted_s = time.monotonic()

        classifier = Classifier(model, data.train)
        evaluation = evaluate(classifier, data.test or data.val)
        headline_split: Literal["test", "val"] = "test" if data.test else "val"
        classifier.figures = _figures(evaluation, headline_split)
        classifier.data = _data_record(data, split_sha256, settings.seed)
        evaluated_s = time.monotonic()

        bundle = None
        if folder is not None:
            write_history(folder, history.history)
            bundle = classifier.save(folder / "model.imgclf")
    num_epochs = len(history.epoch)
    return TrainingRun(
        classifier=classifier,
        evaluation=evaluation,
        headline_split=headline_split,
        data=data,
        history=history,
        precision=precision,
        images_per_s=num_epochs * data.train.num_samples / (fitted_s - scanned_s),
        durations_s={
            "scan": scanned_s - began_s,
            "fit": fitted_s - scanned_s,
            "evaluate": evaluated_s - fitted_s,
        },
        bundle=bundle,
    )


def make_plan(
    directory: str | os.PathLike[str],
    settings: Settings,
    *,
    val_dir: str | os.PathLike[str] | None = None,
    test_dir: str | os.PathLike[str] | None = None,
) -> Plan:
    """Return the plan of a training's images; nothing is read yet.

    Args:
        directory: The folder.
        settings: Every choice.
        val_dir: Another folder with the validation images.
        test_dir: Another folder with the test images.

    Returns:
        The plan.

    Raises:
        ArgumentError: A setting is not accepted.
    """
    return Plan(
        train_dir=os.path.abspath(directory),  # noqa: PTH100 - resolve() would follow links
        val_dir=None if val_dir is None else os.path.abspath(val_dir),  # noqa: PTH100
        test_dir=None if test_dir is None else os.path.abspath(test_dir),  # noqa: PTH100
        policy=InputPolicy(
            settings.image_size, settings.channels, settings.resize, settings.data_format
        ),
        batch_size=settings.batch_size,
        augmentation=resolve_augmentation(settings.augment),
        val_split=VAL_SHARE,
        test_split=TEST_SHARE,
        seed=settings.seed,
        store=settings.store,
        strict=settings.strict,
    )


def _config(plan: Plan, settings: Settings, precision: str) -> dict[str, Any]:
    """Write out every value, so that a run can be repeated from its folder alone."""
    architecture = settings.architecture
    name = architecture if isinstance(architecture, str) else architecture.__name__
    return {
        **asdict(settings),
        "architecture": name,
        "augment": asdict(plan.augmentation),
        "precision": precision,
        "train_dir": plan.train_dir,
        "val_dir": plan.val_dir,
        "test_dir": plan.test_dir,
        "val_split": plan.val_split,
        "test_split": plan.test_split,
    }


def _write_split(folder: Path, data: ImageData) -> str:
    content, digest = split_csv(_split_rows(data))
    (folder / "split.csv").write_bytes(content)
    return digest


def _split_rows(data: ImageData) -> list[tuple[str, str, str, str]]:
    names = data.train.class_names
    return [
        (sample.path, sample.sha256, names[sample.label], split)
        for split, batches in (("train", data.train), ("val", data.val), ("test", data.test))
        if batches is not None
        for sample in batches.samples
    ]


def _figures(evaluation: Evaluation, split: Literal["test", "val"]) -> Figures:
    metrics = evaluation.metrics
    return Figures(
        split=split,
        num_images=metrics.num_images,
        accuracy=metrics.accuracy,
        accuracy_low=metrics.accuracy_interval.low,
        accuracy_high=metrics.accuracy_interval.high,
        majority_accuracy=metrics.majority.accuracy,
    )


def _data_record(data: ImageData, split_sha256: str, seed: int) -> DataRecord:
    return DataRecord(
        num_train=data.train.num_samples,
        num_val=data.val.num_samples,
        num_test=data.test.num_samples if data.test else 0,
        split_sha256=split_sha256,
        seed=seed,
    )
