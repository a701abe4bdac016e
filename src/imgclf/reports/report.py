"""The report: one HTML file that holds everything and asks nothing of any network."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgclf.atomic import write_text_atomically
from imgclf.classifiers.bundle import read_bundle
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.explanation import overlay
from imgclf.classifiers.familiarity import UNFAMILIAR_BELOW
from imgclf.classifiers.loader import load
from imgclf.data.pixels.decoder import decode
from imgclf.errors import ImgclfError
from imgclf.evaluation.verdict import verdict
from imgclf.figures.confusion import most_confused_pairs
from imgclf.reports import sections
from imgclf.reports.label_issues import find_label_issues
from imgclf.reports.page import fill_page, shown_name, shown_share
from imgclf.reports.reproduction import reproduction
from imgclf.reports.thumbnails import (
    MOST_PICTURES,
    choose_for_cells,
    data_uri,
    first_distinct,
    thumbnails,
)
from imgclf.runs.folder import BUNDLE_NAME
from imgclf.runs.record import Answers, RunRecord, read_run

__all__ = ["REPORT_NAME", "write_report"]

REPORT_NAME = "report.html"

SUSPECTS = "Suspected label errors"

GALLERY_SIZE = 24
NUM_WORST = 12
"""Worst mistakes that are shown: each has a heat map, which costs a pass forward and back."""


def write_report(folder: str | os.PathLike[str], classifier: Classifier | None = None) -> Path:
    """Write the report of a finished run into its folder.

    Args:
        folder: The run folder.
        classifier: The run's classifier, if it is at hand; None loads it from the folder.

    Returns:
        The file.

    Raises:
        RunFolderError: The folder holds no finished run.
        BundleError: Its classifier cannot be loaded.
    """
    run = read_run(folder)
    bundle_path = run.folder / BUNDLE_NAME
    classifier = classifier or load(bundle_path)
    content = report_data(run, classifier, bundle_path)
    target = run.folder / REPORT_NAME
    write_text_atomically(target, render(content))
    return target


def report_data(run: RunRecord, classifier: Classifier, bundle_path: Path) -> dict[str, Any]:
    """Collect all that the report shows, as plain values."""
    manifest = read_bundle(bundle_path).manifest
    confusion = np.array(run.record["evaluation"]["confusion"], np.int64)
    pairs = most_confused_pairs(confusion)
    return {
        "title": _title(Path(run.config["train_dir"])),
        "run": shown_name(run.folder.resolve().name),
        "classes": run.class_names,
        "headline": sections.headline(run),
        "verdict": " ".join(verdict(confusion, run.class_names)),
        "warnings": run.record["warnings"],
        "course": sections.course(run),
        "history": sections.history(run),
        "confusion": confusion.tolist(),
        "confused": [(pair.true_class, pair.predicted_class, pair.num_images) for pair in pairs],
        **_images(run, classifier),
        "reliability": sections.reliability(run),
        "calibration": manifest.calibration
        and manifest.calibration.model_dump(exclude={"thresholds"}),
        "slider": {**sections.slider(run), "chosen": sections.threshold_rows(manifest)},
        "curves": sections.curves(run),
        "class_figures": sections.class_figures(run),
        "data": sections.data_section(run),
        "model": sections.model_section(run, classifier, manifest),
        "reproduce": reproduction(run, manifest),
    }


def _title(directory: Path) -> str:
    """Name the images; a folder called ``train`` says less than the one that it lies in."""
    if directory.name == "train" and directory.parent.name:
        return f"{directory.parent.name}/train"
    return directory.name or "images"


def render(content: dict[str, Any]) -> str:
    """Fill the template; nothing that comes from a run is ever markup.

    Args:
        content: What `report_data` returned.

    Returns:
        The whole page.
    """
    head = content["headline"]
    is_test = head["split"] == "test"
    images = "test images" if is_test else "validation images, which also chose the epoch"
    values = {
        "title": shown_name(content["title"]),
        "run": f"{content['run']}, {dict(content['model']['facts'])['architecture']}",
        "accuracy": shown_share(head["accuracy"], 2),
        "interval": (
            f"accuracy; 95 % interval {shown_share(head['low'])} to {shown_share(head['high'])}, "
            f"{head['num_correct']:,} of {head['num_images']:,} {images}"
        ),
        "verdict": content["verdict"],
        "footer": f"Made by imgclf {dict(content['reproduce']['facts'])['imgclf']}",
    }
    return fill_page("report.html", ("drawing.js", "report.js"), values, content)


def _images(run: RunRecord, classifier: Classifier) -> dict[str, Any]:
    """Choose the galleries and the images behind the matrix; embed each once."""
    answers = run.all_answers()
    galleries = _galleries(run, answers)
    picked = first_distinct([indices for _, _, indices in galleries])
    cells = choose_for_cells(
        run.labels, run.predicted, run.probability, MOST_PICTURES - len(picked)
    )
    embedded = first_distinct([picked, *cells.values()])
    place = {index: number for number, index in enumerate(embedded)}
    sources = thumbnails([answers.paths[index] for index in embedded])
    overlays = _overlays(run, classifier, galleries[0][2])
    return {
        "images": [
            _image(answers, index, source) for index, source in zip(embedded, sources, strict=True)
        ],
        "cells": {
            f"{true},{predicted}": [place[index] for index in indices]
            for (true, predicted), indices in cells.items()
        },
        "galleries": [
            {
                "title": title,
                "note": note,
                "labels_doubted": title == SUSPECTS,
                "items": [
                    {"image": place[index], "overlay": overlays.get(index) if at == 0 else None}
                    for index in indices
                ],
            }
            for at, (title, note, indices) in enumerate(galleries)
        ],
    }


def _image(answers: Answers, index: int, source: str | None) -> dict[str, Any]:
    return {
        "path": shown_name(answers.paths[index]),
        "true": int(answers.labels[index]),
        "predicted": int(answers.predicted[index]),
        "probability": round(float(answers.probability[index]), 4),
        "src": source,
    }


def _galleries(run: RunRecord, answers: Answers) -> list[tuple[str, str, list[int]]]:
    """Return title, note and places among the answers; suspects may be validation images."""
    mistakes = np.flatnonzero(~run.is_correct)
    worst = mistakes[np.argsort(run.true_probability[mistakes], kind="stable")]
    unsure = np.argsort(run.probability, kind="stable")
    suspects = find_label_issues(
        answers.labels, answers.predicted, answers.probability, answers.true_probability
    )
    also = "" if run.validation is None else " Validation images are among them."
    galleries = [
        (
            "Worst mistakes",
            "Wrong answers that left least for the truth; the heat is what spoke for the answer.",
            worst[:NUM_WORST].tolist(),
        ),
        ("Least sure", "The lowest top probabilities.", unsure[:GALLERY_SIZE].tolist()),
        (
            SUSPECTS,
            f"Sure answers against the label: is the label right?{also} All of them: suspects.csv.",
            [suspect.index for suspect in suspects[:GALLERY_SIZE]],
        ),
    ]
    return [*galleries, *_least_familiar(run)]


def _least_familiar(run: RunRecord) -> list[tuple[str, str, list[int]]]:
    """Return the gallery of images that are least like the training images, if that is known."""
    if np.isnan(run.familiarity).any():
        return []
    flagged = int((run.familiarity < UNFAMILIAR_BELOW).sum())
    note = (
        f"Least like the training images, whatever the answer; {flagged:,} of {run.labels.size:,} "
        f"({shown_share(flagged / run.labels.size)}) are flagged as unfamiliar, where 5 % is usual."
    )
    order = np.argsort(run.familiarity, kind="stable")
    return [("Least familiar", note, order[:GALLERY_SIZE].tolist())]


def _overlays(run: RunRecord, classifier: Classifier, indices: Sequence[int]) -> dict[int, str]:
    """Explain the predicted class of some images; those that are gone stay without."""
    pixels = {}
    for index in indices:
        with contextlib.suppress(ImgclfError):
            pixels[index] = decode(run.paths[index], classifier.policy)
    if not pixels:
        return {}
    images = np.stack(list(pixels.values()))
    heatmaps, _ = classifier.draw_heatmaps(images, run.predicted[list(pixels)])
    return {
        index: data_uri(overlay(image, heatmap))
        for index, image, heatmap in zip(pixels, images, heatmaps, strict=True)
    }
