"""The pictures of a report: groups that are worth a look, and the images behind the matrix."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.explanation import overlay
from imgclf.classifiers.familiarity import UNFAMILIAR_BELOW
from imgclf.data.pixels.decoder import decode
from imgclf.errors import ImgclfError
from imgclf.figures.shares import shown_share
from imgclf.reports.label_issues import label_issues_of
from imgclf.reports.page import shown_name
from imgclf.reports.thumbnails import (
    MOST_PICTURES,
    choose_for_cells,
    data_uri,
    first_distinct,
    thumbnails,
)
from imgclf.runs.record import Answers, RunRecord

__all__ = ["Group", "picture_groups", "pictures"]

MOST_MISTAKES = 240
MOST_SUSPECTS = 60
MOST_OTHERS = 24
"""Pictures in one group."""

NUM_EXPLAINED = 12
"""Mistakes with a heat map, which costs a pass forward and back each."""

NUM_LARGE = 96
"""Pictures that are made large enough to look at closely."""


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that are shown together.

    Attributes:
        key: Its name for the page's script.
        title: What a reader chooses it by.
        note: What the pictures have in common, in a sentence.
        indices: Places among the run's answers, the most telling first.
        num_images: How many there are, shown or not.
    """

    key: str
    title: str
    note: str
    indices: list[int]
    num_images: int


def pictures(run: RunRecord, classifier: Classifier) -> dict[str, Any]:
    """Choose the pictures of a report; each is embedded once, however often it is referred to.

    Args:
        run: The run.
        classifier: Its classifier, which explains its worst mistakes.

    Returns:
        ``images``, ``groups`` and ``cells`` of the page, as plain values.
    """
    answers = run.all_answers()
    groups = picture_groups(run)
    picked = first_distinct([group.indices for group in groups])
    cells = choose_for_cells(
        run.labels, run.predicted, run.probability, MOST_PICTURES - len(picked)
    )
    embedded = first_distinct([*_in_turns(groups), picked, *cells.values()])
    place = {index: number for number, index in enumerate(embedded)}
    sources = thumbnails([answers.paths[index] for index in embedded], num_large=NUM_LARGE)
    explained = _overlays(answers, classifier, groups[0].indices[:NUM_EXPLAINED])
    return {
        "images": [
            _image(run, answers, index, source, explained.get(index))
            for index, source in zip(embedded, sources, strict=True)
        ],
        "groups": [
            {
                "key": group.key,
                "title": group.title,
                "note": group.note,
                "num_images": group.num_images,
                "items": [place[index] for index in group.indices],
            }
            for group in groups
        ],
        "cells": {
            f"{true},{predicted}": [place[index] for index in indices]
            for (true, predicted), indices in cells.items()
        },
    }


def picture_groups(run: RunRecord) -> list[Group]:
    """Return the groups that have images, mistakes first.

    The suspects are those of the mistakes whose label is doubted, and validation images; apart
    from that no image is in two groups.

    Args:
        run: The run.

    Returns:
        The groups; the mistakes are there even if there are none.
    """
    mistakes = np.flatnonzero(~run.is_correct)
    worst = mistakes[np.argsort(run.true_probability[mistakes], kind="stable")]
    suspects = [suspect.index for suspect in label_issues_of(run)]
    taken = np.zeros(run.labels.size, np.bool_)
    taken[mistakes] = True
    taken[[index for index in suspects if index < taken.size]] = True
    groups = [
        Group(
            "mistakes",
            "Mistakes",
            "Wrong answers, the worst first.",
            worst[:MOST_MISTAKES].tolist(),
            mistakes.size,
        ),
        Group(
            "labels", "Wrong labels?", _about_labels(run), suspects[:MOST_SUSPECTS], len(suspects)
        ),
        _unsure(run, taken),
        *_unfamiliar(run, taken),
    ]
    return [group for group in groups if group.indices or group.key == "mistakes"]


def _about_labels(run: RunRecord) -> str:
    also = "" if run.validation is None else ", validation images among them"
    return (
        f"The classifier is at least 90% sure of another class{also}: is the label right? "
        "suspects.csv lists them, to be corrected."
    )


def _unsure(run: RunRecord, taken: NDArray[np.bool_]) -> Group:
    """Return right answers with the lowest probabilities, and mark them as taken."""
    order = np.argsort(run.probability, kind="stable")
    chosen = order[~taken[order]][:MOST_OTHERS]
    taken[chosen] = True
    note = "The right answers that the classifier was least sure of."
    return Group("unsure", "Least sure, but right", note, chosen.tolist(), chosen.size)


def _unfamiliar(run: RunRecord, taken: NDArray[np.bool_]) -> list[Group]:
    """Return the images that are flagged as unfamiliar, if that is known."""
    if np.isnan(run.familiarity).any():
        return []
    flagged = int((run.familiarity < UNFAMILIAR_BELOW).sum())
    order = np.argsort(run.familiarity, kind="stable")[:flagged]
    chosen = order[~taken[order]][:MOST_OTHERS]
    note = (
        "Right answers to images that are least like the training images. Flagged as unfamiliar: "
        f"{flagged:,} of {run.labels.size:,} ({shown_share(flagged / run.labels.size)}), where "
        "5% is usual."
    )
    return [Group("unfamiliar", "Unfamiliar", note, chosen.tolist(), chosen.size)]


def _in_turns(groups: Sequence[Group]) -> list[list[int]]:
    """Return the images that each group shows first: they are the ones to be made large."""
    return [group.indices[: NUM_LARGE // len(groups)] for group in groups]


def _image(
    run: RunRecord, answers: Answers, index: int, source: str | None, explained: str | None
) -> dict[str, Any]:
    return {
        "path": shown_name(answers.paths[index]),
        "true": int(answers.labels[index]),
        "predicted": int(answers.predicted[index]),
        "probability": round(float(answers.probability[index]), 4),
        "held_out": "validation" if index >= run.labels.size else run.record["split"],
        "src": source,
        "overlay": explained,
    }


def _overlays(answers: Answers, classifier: Classifier, indices: Sequence[int]) -> dict[int, str]:
    """Explain the predicted class of some images; those that are gone stay without."""
    pixels = {}
    for index in indices:
        with contextlib.suppress(ImgclfError):
            pixels[index] = decode(answers.paths[index], classifier.policy)
    if not pixels:
        return {}
    images = np.stack(list(pixels.values()))
    heatmaps, _ = classifier.draw_heatmaps(images, answers.predicted[list(pixels)])
    return {
        index: data_uri(overlay(image, heatmap))
        for index, image, heatmap in zip(pixels, images, heatmaps, strict=True)
    }
