"""The summary of a study as files: ``trials.csv``, ``best.json`` and ``report.html``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from imgclf.atomic import write_csv_atomically, write_text_atomically
from imgclf.figures.intervals import wilson_interval
from imgclf.runs.config import plain_value
from imgclf.runs.settings import setting_fields
from imgclf.tuning.candidates import candidate_settings
from imgclf.tuning.importance import importance
from imgclf.tuning.space import Space
from imgclf.tuning.study import Study
from imgclf.tuning.study_page import study_page
from imgclf.tuning.trial_settings import OF_THE_FOLDER, TrialSettings
from imgclf.tuning.trials import Trial, best_trial, rank

__all__ = ["best_settings", "trial_rows", "write_summary_files"]


def trial_rows(trials: Sequence[Trial], space: Space) -> list[dict[str, Any]]:
    """Return one row per trial, the best first.

    Returns:
        Rows with ``trial``, ``status``, ``accuracy`` (mean over the executions), ``deviation``,
        ``bundle_accuracy`` with ``low`` and ``high`` (95 % Wilson interval), ``epochs``,
        ``best_epoch`` (from 1), ``num_parameters``, ``duration_s``, ``fit_s``, every searched
        name, and ``reason``.
    """
    return [_row(trial, space) for trial in rank(trials)]


def _row(trial: Trial, space: Space) -> dict[str, Any]:
    done = trial.status == "completed"
    interval = wilson_interval(trial.num_correct, trial.num_images)
    return {
        "trial": trial.number,
        "status": trial.status,
        "accuracy": trial.score if done else None,
        "deviation": trial.deviation,
        "bundle_accuracy": trial.bundle_accuracy if done else None,
        "low": interval.low if done else None,
        "high": interval.high if done else None,
        "epochs": trial.candidate.epochs,
        "best_epoch": None if trial.best_epoch is None else trial.best_epoch + 1,
        "num_parameters": trial.num_parameters or None,
        "duration_s": round(trial.duration_s, 3),
        "fit_s": round(trial.fit_s, 3),
        **{name: trial.candidate.shown(name) for name in space.names},
        "reason": trial.reason,
    }


def best_settings(trial: Trial, settings: TrialSettings) -> dict[str, Any]:
    """Return the settings with which `imgclf.train` repeats a trial, by name."""
    best = candidate_settings(settings, trial.candidate)
    names = [item.name for item in setting_fields() if item.name not in OF_THE_FOLDER]
    return {name: getattr(best, name) for name in names}


def write_summary_files(study: Study, space: Space, settings: TrialSettings) -> None:
    """Write ``trials.csv``, ``report.html`` and, once a trial has completed, ``best.json``."""
    rows = trial_rows(study.trials, space)
    columns = list(rows[0]) if rows else ["trial"]
    values = [list(row.values()) for row in rows]
    write_csv_atomically(study.folder / "trials.csv", columns, values)
    page = study_page(study.folder.name, study.trials, space, importance(study.trials, space))
    write_text_atomically(study.folder / "report.html", page)
    best = best_trial(study.trials)
    if best is not None:
        content = {
            "settings": {
                name: plain_value(value) for name, value in best_settings(best, settings).items()
            },
            "trial": best.number,
            "val_accuracy": best.bundle_accuracy,
            "bundle": f"bundles/{study.bundle(best.number).name}",
        }
        write_text_atomically(study.folder / "best.json", json.dumps(content, indent=2) + "\n")
