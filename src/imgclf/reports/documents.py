"""What a finished training writes beside its bundle: record, suspects, report, model card."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from imgclf.reports.label_issues import write_label_issues
from imgclf.reports.model_card import write_model_card
from imgclf.reports.report import write_report
from imgclf.runs.record import (
    read_run,
    write_predictions,
    write_record,
    write_validation,
)
from imgclf.training.schedules import make_schedule

if TYPE_CHECKING:
    from imgclf.runs.settings import Settings
    from imgclf.workflow.training import TrainingRun

__all__ = ["write_documents"]

RATES_PER_EPOCH = 4
"""Points at which the learning rate's course is drawn."""


def write_documents(folder: Path, run: TrainingRun, settings: Settings) -> None:
    """Write what a run folder tells of its training: figures, answers, suspects, report, card.

    Args:
        folder: The run folder; bundle, configuration, division and history lie in it already.
        run: What the training gave.
        settings: Every choice.
    """
    write_predictions(folder, run.evaluation)
    if run.headline_split == "test":  # Otherwise they are the validation images already.
        _write_validation(folder, run)
    write_record(folder, _record(run, settings))
    record = read_run(folder)
    write_label_issues(record)
    write_model_card(record)
    write_report(folder, run.classifier)


def _write_validation(folder: Path, run: TrainingRun) -> None:
    val = run.data.val
    paths = [sample.path for sample in val.samples]
    write_validation(folder, val.class_names, paths, val.labels, run.val_probabilities)


def _record(run: TrainingRun, settings: Settings) -> dict[str, Any]:
    best = run.fit.best_epoch
    quarantined = (*run.data.quarantined, *run.evaluation.quarantined)
    return {
        "evaluation": run.evaluation.as_dict(),
        "split": run.headline_split,
        "best_epoch": None if best is None else best + 1,
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
        "warnings": [*run.data.warnings, *run.evaluation.warnings],
    }


def _learning_rates(run: TrainingRun, settings: Settings) -> list[tuple[float, float]]:
    """Return ``(epoch, rate)`` over the epochs that were done."""
    steps = run.data.train.steps_per_epoch
    highest = cast("float", settings.learning_rate)
    if settings.budget_s is None:
        rate = make_schedule(settings.schedule, highest, settings.epochs * steps)
    else:  # Half a cosine over the time that there was.
        rate = make_schedule("cosine", highest, run.fit.epochs * steps)
    points = range(RATES_PER_EPOCH * run.fit.epochs + 1)
    epochs = [point / RATES_PER_EPOCH for point in points]
    if not callable(rate):
        return [(epoch, rate) for epoch in epochs]
    return [(epoch, float(rate(round(epoch * steps)))) for epoch in epochs]


def _text(name: str) -> str:
    """Return a name as text that JSON can hold; bytes that are no text are shown as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
