"""What a run folder remembers of its evaluation: enough to report on it without doing it again."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgclf.atomic import write_csv_atomically, write_text_atomically
from imgclf.errors import DataNotFoundError, RunFolderError
from imgclf.evaluation.results import Evaluation
from imgclf.figures.predictions import predicted_classes
from imgclf.machine.terminal import shell_word
from imgclf.runs.folder import RECORD_NAME, SPLIT_NAME, read_config

__all__ = [
    "Answers", "RunRecord", "read_run", "write_predictions", "write_record",
    "write_validation",
]  # fmt: skip

PREDICTIONS_NAME = "predictions.csv"
VALIDATION_NAME = "validation.csv"
COLUMNS = ("path", "true", "predicted", "probability", "true_probability", "familiarity")


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a classifier said of images that it did not learn from.

    Attributes:
        paths: ``(num_images,)`` of the images.
        labels: ``(num_images,)`` true class indices.
        predicted: ``(num_images,)`` predicted class indices.
        probability: float64 ``(num_images,)``, of the predicted class.
        true_probability: float64 ``(num_images,)``, of the true class.
    """

    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probability: NDArray[np.float64]
    true_probability: NDArray[np.float64]


_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, IndexError, AttributeError),
    *(RecursionError, csv.Error),
)
"""What reading files raises that imgclf did not write."""


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """A finished run, read back from its folder.

    Attributes:
        folder: The folder.
        config: Every value of the training; see ``config.json``.
        record: What was learned on the way; see ``record.json``.
        history: Figures of each epoch by name, with ``epoch``.
        splits: ``(path, sha256, class, split)`` of each image.
        paths: ``(num_images,)`` of the held-out images, whose predictions follow.
        labels: ``(num_images,)`` true class indices.
        predicted: ``(num_images,)`` predicted class indices.
        probability: float64 ``(num_images,)``, of the predicted class.
        true_probability: float64 ``(num_images,)``, of the true class.
        familiarity: float64 ``(num_images,)``, how much each resembles the training images; NaN
            where the classifier does not know.
        validation: The answers to the validation images; None where they are the held-out images
            above, or where the run did not keep them.
    """

    folder: Path
    config: Mapping[str, Any]
    record: Mapping[str, Any]
    history: Mapping[str, list[float]]
    splits: tuple[tuple[str, str, str, str], ...]
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probability: NDArray[np.float64]
    true_probability: NDArray[np.float64]
    familiarity: NDArray[np.float64]
    validation: Answers | None = None

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the classifier's order."""
        names: list[str] = self.record["evaluation"]["class_names"]
        return names

    @property
    def settings(self) -> dict[str, Any]:
        """Every choice of the classifier's own training, by name, as plain values.

        Where a training chose by itself, ``config.json`` holds what was asked for.
        """
        course = self.record.get("course") or {}
        return {**self.config, **course.get("settings", {})}

    @property
    def is_correct(self) -> NDArray[np.bool_]:
        """``(num_images,)`` whether each answer is right."""
        return np.equal(self.labels, self.predicted)

    def all_answers(self) -> Answers:
        """Return the answers to the held-out images, those to the validation images behind them."""
        own = Answers(
            self.paths, self.labels, self.predicted, self.probability, self.true_probability
        )
        other = self.validation
        if other is None:
            return own
        return Answers(
            (*own.paths, *other.paths),
            np.concatenate([own.labels, other.labels]),
            np.concatenate([own.predicted, other.predicted]),
            np.concatenate([own.probability, other.probability]),
            np.concatenate([own.true_probability, other.true_probability]),
        )


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write what was learned on the way."""
    text = json.dumps(record, indent=1, allow_nan=False)
    write_text_atomically(folder / RECORD_NAME, text + "\n")


def write_predictions(folder: Path, evaluation: Evaluation) -> None:
    """Write the answer to each held-out image, with its probability and that of the truth."""
    _write_answers(
        folder / PREDICTIONS_NAME,
        evaluation.class_names,
        evaluation.paths,
        evaluation.labels,
        evaluation.probabilities,
        _familiarity_column(evaluation),
    )


def write_validation(
    folder: Path,
    class_names: Sequence[str],
    paths: Sequence[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
) -> None:
    """Write the answer to each validation image, as `write_predictions` does.

    Args:
        folder: The run folder.
        class_names: Names of the classes, in the classifier's order.
        paths: ``(num_images,)`` of the validation images.
        labels: ``(num_images,)`` true class indices.
        probabilities: float64 ``(num_images, num_classes)``, calibrated.
    """
    unknown = [""] * len(paths)
    _write_answers(folder / VALIDATION_NAME, class_names, paths, labels, probabilities, unknown)


def _write_answers(
    target: Path,
    names: Sequence[str],
    paths: Sequence[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    familiarity: Sequence[float | str],
) -> None:
    images = np.arange(len(paths))
    predicted = predicted_classes(probabilities)
    rows = zip(
        paths,
        [names[label] for label in labels],
        [names[label] for label in predicted],
        probabilities[images, predicted].tolist(),
        probabilities[images, labels].tolist(),
        familiarity,
        strict=True,
    )
    write_csv_atomically(target, COLUMNS, rows)


def _familiarity_column(evaluation: Evaluation) -> list[float | str]:
    """Return the figures, or empty cells where they are not known."""
    if evaluation.familiarity is None:
        return [""] * len(evaluation.paths)
    return list(map(float, evaluation.familiarity))


def read_run(folder: str | os.PathLike[str]) -> RunRecord:
    """Read a finished run.

    Args:
        folder: What `imgclf train` made.

    Returns:
        Its record.

    Raises:
        DataNotFoundError: The folder does not exist.
        RunFolderError: It holds no finished run, or one that cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataNotFoundError(f"The run folder {root} does not exist: give a folder under runs/.")
    config = read_config(root)
    try:
        return _read(root, config)
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise RunFolderError(
            f"The training in {root} has not finished, {missing} is missing: continue with "
            f"`imgclf train --resume {shell_word(str(root))}`."
        ) from error
    except _UNREADABLE as error:
        raise RunFolderError(f"The run in {root} cannot be read ({error}).") from error


def _read(root: Path, config: Mapping[str, Any]) -> RunRecord:
    record = json.loads((root / RECORD_NAME).read_text(encoding="utf-8"))
    names = record["evaluation"]["class_names"]
    index = {name: number for number, name in enumerate(names)}
    predictions = _read_rows(root / PREDICTIONS_NAME, COLUMNS)
    answers = _answers(predictions, index)
    splits = _read_rows(root / SPLIT_NAME, ("path", "sha256", "class", "split"))
    return RunRecord(
        folder=root,
        config=config,
        record=record,
        history=_read_history(root / "history.csv"),
        splits=tuple((path, sha256, name, split) for path, sha256, name, split in splits),
        paths=answers.paths,
        labels=answers.labels,
        predicted=answers.predicted,
        probability=answers.probability,
        true_probability=answers.true_probability,
        familiarity=np.array([float(row[5] or "nan") for row in predictions]),
        validation=_read_validation(root / VALIDATION_NAME, index),
    )


def _read_validation(path: Path, index: Mapping[str, int]) -> Answers | None:
    return _answers(_read_rows(path, COLUMNS), index) if path.exists() else None


def _answers(rows: Sequence[Sequence[str]], index: Mapping[str, int]) -> Answers:
    return Answers(
        paths=tuple(row[0] for row in rows),
        labels=np.array([index[row[1]] for row in rows], np.int64),
        predicted=np.array([index[row[2]] for row in rows], np.int64),
        probability=np.array([float(row[3]) for row in rows]),
        true_probability=np.array([float(row[4]) for row in rows]),
    )


def _read_rows(path: Path, columns: tuple[str, ...]) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.reader(file))
    if not rows or tuple(rows[0]) != columns:
        raise ValueError(f"{path.name} does not have the columns {', '.join(columns)}")
    return rows[1:]


def _read_history(path: Path) -> dict[str, list[float]]:
    with path.open(newline="", encoding="utf-8") as file:
        names, *rows = list(csv.reader(file))
    return {name: [float(row[at]) for row in rows] for at, name in enumerate(names)}
