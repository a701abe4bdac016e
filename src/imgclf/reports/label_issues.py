"""Images whose label looks wrong: a network that never saw them is sure of something else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imgclf.atomic import write_csv_atomically
from imgclf.runs.folder import SUSPECTS_NAME
from imgclf.runs.record import RunRecord

__all__ = ["LabelIssue", "find_label_issues", "write_label_issues"]


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
    """Rank held-out images by how strongly the classifier contradicts their label.

    The score is the normalised margin of confident learning (Northcutt et al. 2021,
    arXiv:1911.00068): probability of the answer less that of the label.

    Args:
        labels: ``(num_images,)`` labels, some perhaps wrong.
        predicted: ``(num_images,)`` predicted class indices.
        probability: float64 ``(num_images,)``, calibrated, of the predicted class.
        true_probability: float64 ``(num_images,)``, calibrated, of the label.

    Returns:
        Every image that the classifier contradicts, the strongest first.
    """
    contradicted = np.flatnonzero(labels != predicted)
    scores = (probability - true_probability)[contradicted]
    order = np.argsort(-scores, kind="stable")
    ranked = zip(contradicted[order].tolist(), scores[order].tolist(), strict=True)
    return [LabelIssue(index, score) for index, score in ranked]


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
    issues = find_label_issues(
        answers.labels, answers.predicted, answers.probability, answers.true_probability
    )
    rows = [
        (
            answers.paths[issue.index],
            names[answers.labels[issue.index]],
            names[answers.predicted[issue.index]],
            f"{issue.score:.4f}",
            "",
        )
        for issue in issues
    ]
    target = run.folder / SUSPECTS_NAME
    write_csv_atomically(target, ("path", "label", "suggested", "score", "corrected"), rows)
    return target
