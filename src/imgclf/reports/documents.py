"""The documents of a run: all that is made from what its training wrote."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from imgclf.errors import RunFolderError
from imgclf.reports.figure_files import CONFUSION_NAME, CURVES_NAME, write_figures
from imgclf.reports.label_issues import write_label_issues
from imgclf.reports.model_card import CARD_NAME, write_model_card
from imgclf.reports.report import REPORT_NAME, write_report
from imgclf.runs.folder import (
    BUNDLE_NAME,
    RECORD_NAME,
    SUSPECTS_NAME,
    is_stopped,
    mark_done,
    sha256_of,
)
from imgclf.runs.record import RunRecord, read_run

if TYPE_CHECKING:
    from imgclf.classifiers.classifier import Classifier

__all__ = ["remove_documents", "renew_report", "write_documents"]


def write_documents(folder: str | os.PathLike[str], classifier: Classifier | None = None) -> Path:
    """Make what a run folder lacks: suspects and model card; report and pictures are made anew.

    Suspects and model card that are there stay as they are: people write into them. When all are
    there, the run is marked as done, unless its training was stopped early.

    Args:
        folder: The run folder; training has written its figures and classifier into it.
        classifier: The run's classifier, if it is at hand; None loads it from the folder.

    Returns:
        The report.

    Raises:
        RunFolderError: The folder holds no run, or its training has not finished.
        BundleError: Its classifier cannot be loaded.
        WriteError: A document cannot be written.
    """
    run = read_run(folder)
    if not (run.folder / SUSPECTS_NAME).exists():
        write_label_issues(run)
    _require_classifier(run)
    if not (run.folder / CARD_NAME).exists():
        write_model_card(run)
    write_figures(run)
    report = write_report(run.folder, classifier)
    if not is_stopped(run.folder):
        mark_done(run.folder)
    return report


def renew_report(folder: Path, classifier: Classifier) -> Path | None:
    """Write the report of a finished run again, for what has come into its folder since.

    Args:
        folder: Any folder.
        classifier: The classifier in it.

    Returns:
        The report; None where the folder has none.

    Raises:
        RunFolderError: The run cannot be read.
        WriteError: The report cannot be written.
    """
    if not all((folder / name).is_file() for name in (RECORD_NAME, REPORT_NAME)):
        return None
    return write_report(folder, classifier)


def remove_documents(folder: Path) -> None:
    """Remove the documents of a run whose training goes on: they would tell of the part before.

    Args:
        folder: The run folder.
    """
    for name in (SUSPECTS_NAME, CARD_NAME, CONFUSION_NAME, CURVES_NAME, REPORT_NAME):
        (folder / name).unlink(missing_ok=True)


def _require_classifier(run: RunRecord) -> None:
    """Refuse to describe a classifier that is missing, or another than the figures are of."""
    bundle = run.folder / BUNDLE_NAME
    what = "is missing"
    if bundle.exists():
        if run.record.get("classifier_sha256") in (None, sha256_of(bundle)):
            return
        what = f"is another than that of {RECORD_NAME}"
    raise RunFolderError(
        f"{CARD_NAME} and {REPORT_NAME} cannot be made, {bundle} {what}: continue with "
        f"`imgclf train --resume {run.folder}`."
    )
