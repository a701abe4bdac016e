"""Runs that have all but the files of their end, and what those files have to say in the end."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

from imgclf.classifiers.bundle import read_bundle
from imgclf.reports.documents import write_documents

BEGINNING = ("checkpoints", "config.json", "lock", "split.csv", "start.imgclf")
"""What a run has before its training ends."""

END = (
    "model.imgclf.new", "history.csv", "predictions.csv", "validation.csv", "record.json",
    "model.imgclf", "suspects.csv", "model_card.md", "confusion_matrix.png", "curves.png",
    "report.html", "done",
)  # fmt: skip
"""What it writes then, in this order; the sixth is the first under its own name."""


def without_end(run: Path, target: Path) -> Path:
    """Copy a finished run as it was before its end was written."""
    shutil.copytree(run, target)
    for item in target.iterdir():
        if item.name not in BEGINNING:
            item.unlink()
    return target


def figures(run: Path) -> dict[str, Any]:
    """Return what a run says, whenever it was written: figures, weights, rows, suspects."""
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    members = read_bundle(run / "model.imgclf").manifest.members
    tables = ("history.csv", "predictions.csv", "validation.csv", "suspects.csv")
    told = ("evaluation", "before", "split", "best_epoch", "learning_rates", "warnings")
    return {
        "record": {name: record[name] for name in told},
        "weights": members["weights.safetensors"].sha256,
        **{name: (run / name).read_bytes() for name in tables if (run / name).exists()},
    }


def require_whole(run: Path) -> None:
    """Require that nothing is half-written: each file is whole, and no other one is there."""
    names = {item.name for item in run.iterdir()}
    assert names <= {*BEGINNING, *END[1:], "stopped"}, names
    for name in names & {"config.json", "record.json"}:
        json.loads((run / name).read_text(encoding="utf-8"))
    for name in names & {"history.csv", "predictions.csv", "validation.csv", "suspects.csv"}:
        with (run / name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert rows, name
        assert len({len(row) for row in rows}) == 1, name
    for name in names & {"model.imgclf", "start.imgclf"}:
        read_bundle(run / name)
    if "report.html" in names:
        assert (run / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    if "done" in names:
        assert names >= set(END[1:]) - {"validation.csv", "curves.png"}


def report(run: Path) -> None:
    """Do what `imgclf report RUN` does."""
    write_documents(run)
