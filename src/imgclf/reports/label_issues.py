"""Images whose label looks wrong: a network that never saw them is sure of something else."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imgclf.atomic import write_csv_atomically
from imgclf.figures.intervals import wilson_interval
from imgclf.runs.folder import SUSPECTS_NAME
from imgclf.runs.record import RunRecord

__all__ = [
    "LabelIssue",
    "count_written_issues",
    "find_label_issues",
    "label_issues_of",
    "write_label_issues",
]

SURE = 0.9
"""Probability from which on an answer speaks against a label."""

MOST_SUSPECTED = 0.1
"""Share of the images that is suspected at the most: as many labels are wrong in the worst of ten
well-known test sets, 3.3 % on average (Northcutt et al. 2021, arXiv:2103.14749)."""


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """One suspect.

    Attributes:
        index: Its place among the images.
        score: How much more probable the answer is than the label, 0 to 1.
    """

    index: int
    score: float


def find_label_issues(
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    probability: NDArray[np.float64],
    true_probability: NDArray[np.float64],
) -> list[LabelIssue]:
    """Rank held-out images whose label a sure answer contradicts.

    Every classifier errs, and a poor one contradicts nearly every other label. Where it states 90 %
    or more, calibrated, at most one answer in ten is wrong; a poor classifier is never so sure,
    and suspects nothing. Neither does one that cannot be told from guessing.

    The score is the normalised margin of confident learning (Northcutt et al. 2021,
    arXiv:1911.00068): probability of the answer less that of the label.

    Args:
        labels: ``(num_images,)`` labels, some perhaps wrong.
        predicted: ``(num_images,)`` predicted class indices.
        probability: float64 ``(num_images,)``, calibrated, of the predicted class.
        true_probability: float64 ``(num_images,)``, calibrated, of the label.

    Returns:
        The suspects, the strongest first; at most a tenth of the images.
    """
    if not _is_better_than_guessing(labels, predicted):
        return []
    doubted = np.flatnonzero((labels != predicted) & (probability >= SURE))
    scores = (probability - true_probability)[doubted]
    order = np.argsort(-scores, kind="stable")[: math.ceil(MOST_SUSPECTED * labels.size)]
    ranked = zip(doubted[order].tolist(), scores[order].tolist(), strict=True)
    return [LabelIssue(index, score) for index, score in ranked]


def _is_better_than_guessing(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> bool:
    if not labels.size:
        return False
    interval = wilson_interval(int((labels == predicted).sum()), labels.size)
    return interval.low > float(np.bincount(labels).max() / labels.size)


def label_issues_of(run: RunRecord) -> list[LabelIssue]:
    """Return the suspects among the test and the validation images of a run.

    Args:
        run: A finished run.

    Returns:
        The suspects, the strongest first; their indices are those of ``run.all_answers()``.
    """
    answers = run.all_answers()
    return find_label_issues(
        answers.labels, answers.predicted, answers.probability, answers.true_probability
    )


def write_label_issues(run: RunRecord) -> Path:
    """Write ``suspects.csv`` into a run folder: path, label, what it may be, score.

    Test images and validation images are looked at: the classifier learned from neither. Answers
    to training images would tell nothing, it learned their labels, right or wrong.

    Its last column is for a person to fill in: what the image really shows; see
    `imgclf.reports.corrected_labels`.

    Args:
        run: A finished run.

    Returns:
        The file; without a suspect it has only its headings.
    """
    names, answers = run.class_names, run.all_answers()
    rows = [
        (
            answers.paths[issue.index],
            names[answers.labels[issue.index]],
            names[answers.predicted[issue.index]],
            f"{issue.score:.4f}",
            "",
        )
        for issue in label_issues_of(run)
    ]
    target = run.folder / SUSPECTS_NAME
    write_csv_atomically(target, ("path", "label", "suggested", "score", "corrected"), rows)
    return target


def count_written_issues(folder: Path) -> int:
    """Return how many images ``suspects.csv`` of a run folder lists; 0 without one."""
    target = folder / SUSPECTS_NAME
    if not target.is_file():
        return 0
    with target.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return max(0, sum(1 for _ in csv.reader(file)) - 1)
