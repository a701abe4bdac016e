"""What a training gives back, and how it is written into the run folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from imgclf.atomic import move_atomically
from imgclf.classifiers.classifier import Classifier
from imgclf.data.batches.image_data import ImageData
from imgclf.evaluation.results import Evaluation
from imgclf.reports.documents import remove_documents, write_documents
from imgclf.runs.folder import BUNDLE_NAME, mark_stopped, sha256_of, write_history
from imgclf.runs.record import RunRecord, write_predictions, write_record, write_validation
from imgclf.runs.settings import Settings
from imgclf.training.fit_result import FitResult
from imgclf.training.schedules import make_schedule
from imgclf.workflow.improvement import Course

__all__ = ["TrainingRun", "recorded_fit", "save_run"]

STAGED_NAME = f"{BUNDLE_NAME}.new"

RATES_PER_EPOCH = 4
"""Points per epoch at which the learning rate is recorded."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRun:
    """What a training gave.

    Attributes:
        classifier: The classifier of the best epoch.
        evaluation: Its figures on held-out images, in float32.
        headline_split: ``"test"``, or ``"val"`` where no test images were given: those also chose
            the epoch.
        data: The images.
        fitted: The course of the fit, in training precision.
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
        course: How it went on from its first answer; None where it was trained in one go.
    """

    classifier: Classifier
    evaluation: Evaluation
    headline_split: Literal["test", "val"]
    data: ImageData
    fitted: FitResult
    precision: str
    images_per_s: float
    predict_images_per_s: float
    val_probabilities: NDArray[np.float64]
    durations_s: Mapping[str, float]
    bundle: Path | None
    stopped: bool = False
    before: Evaluation | None = None
    course: Course | None = None


def save_run(folder: Path, run: TrainingRun, settings: Settings) -> None:
    """Write the end of a training: its figures, then its classifier, then its documents.

    The figures come first, so that a run that has its classifier has all that the documents are
    made from. They name the classifier that they are of, because that of a training that was
    stopped earlier is only replaced once they are whole.

    Args:
        folder: The run folder, which is held.
        run: What the training gave.
        settings: Every choice.

    Raises:
        WriteError: A file cannot be written; the run can be gone on with.
        BundleError: The classifier cannot be written, likewise.
    """
    remove_documents(folder)
    staged = folder / STAGED_NAME
    try:
        run.classifier.save(staged)
        write_history(folder, run.fitted.history)
        write_predictions(folder, run.evaluation)
        if run.headline_split == "test":  # Otherwise they are the validation images already.
            _write_validation(folder, run)
        write_record(folder, _record(run, settings, sha256_of(staged)))
        if run.stopped:
            mark_stopped(folder, True)
        move_atomically(staged, folder / BUNDLE_NAME)
    finally:
        staged.unlink(missing_ok=True)
    if not run.stopped:
        mark_stopped(folder, False)
    write_documents(folder, run.classifier)


def recorded_fit(run: RunRecord) -> FitResult:
    """Return the course of the fit of a recorded run."""
    best: int | None = run.record["best_epoch"]
    return FitResult(
        history={name: values for name, values in run.history.items() if name != "epoch"},
        best_epoch=None if best is None else best - 1,
        head_epochs=run.record["head_epochs"],
    )


def _write_validation(folder: Path, run: TrainingRun) -> None:
    val = run.data.val
    paths = [sample.path for sample in val.samples]
    write_validation(folder, val.class_names, paths, val.labels, run.val_probabilities)


def _record(run: TrainingRun, settings: Settings, classifier_sha256: str) -> dict[str, Any]:
    best = run.fitted.best_epoch
    quarantined = (*run.data.quarantined, *run.evaluation.quarantined)
    return {
        "evaluation": run.evaluation.as_dict(),
        "before": run.before.as_dict() if run.before else None,
        "split": run.headline_split,
        "best_epoch": None if best is None else best + 1,
        "head_epochs": run.fitted.head_epochs,
        "stopped": run.stopped,
        "precision": run.precision,
        "images_per_s": run.images_per_s,
        "predict_images_per_s": run.predict_images_per_s,
        "durations_s": dict(run.durations_s),
        "learning_rates": _learning_rates(run, settings),
        "quarantined": [
            {"path": _text(item.path), "reason": item.reason, "message": _text(item.message)}
            for item in quarantined
        ],
        "left_out": dict(Counter(item.reason for item in run.data.left_out)),
        "num_leaked": run.data.num_leaked,
        "course": run.course.as_dict() if run.course else None,
        "warnings": [*run.data.warnings, *run.evaluation.warnings],
        "classifier_sha256": classifier_sha256,
    }


def _learning_rates(run: TrainingRun, settings: Settings) -> list[tuple[float, float]]:
    """Return ``(epoch, rate)`` over the epochs that were done."""
    steps = run.data.train.steps_per_epoch
    highest = cast("float", settings.learning_rate)
    if settings.budget_s is None:
        rate = make_schedule(settings.schedule, highest, settings.epochs * steps)
    else:  # Half a cosine over the time that there was.
        rate = make_schedule("cosine", highest, run.fitted.epochs * steps)
    points = range(RATES_PER_EPOCH * run.fitted.epochs + 1)
    epochs = [point / RATES_PER_EPOCH for point in points]
    if not callable(rate):
        return [(epoch, rate) for epoch in epochs]
    return [(epoch, float(rate(round(epoch * steps)))) for epoch in epochs]


def _text(name: str) -> str:
    """Return a name as text that JSON can hold; bytes that are no text are shown as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
