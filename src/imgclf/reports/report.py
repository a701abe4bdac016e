"""The report: one HTML file that holds everything and asks nothing of any network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf.atomic import write_text_atomically
from imgclf.classifiers.bundle import read_bundle
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.loader import load
from imgclf.evaluation.verdict import TrainingFacts, verdict
from imgclf.figures.shares import shown_range, shown_share
from imgclf.reports import sections
from imgclf.reports.gallery import pictures
from imgclf.reports.page import fill_page, shown_name
from imgclf.reports.reproduction import reproduction, uses
from imgclf.runs.folder import BUNDLE_NAME
from imgclf.runs.record import RunRecord, read_run

if TYPE_CHECKING:
    from imgclf.classifiers.bundle import CalibrationRecord

__all__ = ["REPORT_NAME", "write_report"]

REPORT_NAME = "report.html"

SAYS_LITTLE = {"train", "images", "data"}
"""Folder names that need their parent's beside them."""


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
    facts = TrainingFacts(
        num_train=None if manifest.data is None else manifest.data.num_train,
        is_pretrained=bool(manifest.architecture.origins()),
    )
    return {
        "title": _title(Path(run.config["train_dir"])),
        "run": shown_name(run.folder.resolve().name),
        "classes": run.class_names,
        "headline": sections.headline(run),
        "verdict": " ".join(verdict(confusion, run.class_names, facts)),
        "warnings": run.record["warnings"],
        "course": sections.course(run),
        "history": sections.history(run),
        "confusion": confusion.tolist(),
        **pictures(run, classifier),
        "reliability": sections.reliability(run),
        "calibration": _without_thresholds(manifest.calibration),
        "slider": {**sections.slider(run), "chosen": sections.threshold_rows(manifest)},
        "curves": sections.curves(run),
        "class_figures": sections.class_figures(run),
        "data": sections.data_section(run),
        "model": sections.model_section(run, classifier, manifest),
        "exports": sections.exports(run),
        "uses": uses(run),
        "reproduce": reproduction(run, manifest),
    }


def _without_thresholds(calibration: CalibrationRecord | None) -> dict[str, Any] | None:
    if calibration is None:
        return None
    figures = calibration.as_dict()
    del figures["thresholds"]
    return figures


def _title(directory: Path) -> str:
    """Name the images; a folder called ``train`` says less than the one that it lies in."""
    if directory.name in SAYS_LITTLE and directory.parent.name:
        return f"{directory.parent.name}/{directory.name}"
    return directory.name or "images"


def render(content: dict[str, Any]) -> str:
    """Fill the template; nothing that comes from a run is ever markup.

    Args:
        content: What `report_data` returned.

    Returns:
        The whole page.
    """
    head = content["headline"]
    is_test, of = head["split"] == "test", head["num_images"]
    images = "test images" if is_test else "validation images, which also chose the epoch"
    values = {
        "title": shown_name(content["title"]),
        "run": content["run"],
        "accuracy": shown_share(head["accuracy"], of),
        "interval": (
            f"{head['num_correct']:,} of {of:,} {images} right; "
            f"95% interval {shown_range(head['low'], head['high'], of)}"
        ),
        "verdict": content["verdict"],
        "footer": f"Made by imgclf {dict(content['reproduce']['facts'])['imgclf']}",
    }
    return fill_page(
        "report.html",
        ("drawing.js", "pictures.js", "report.js"),
        values,
        content,
        styles=("report.css",),
    )
