"""The documents of a run are made from its folder alone, and what is there stays."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imgclf.cli.main import app
from imgclf.errors import RunFolderError
from imgclf.reports.documents import write_documents

DOCUMENTS = (
    "suspects.csv", "model_card.md", "confusion_matrix.png", "curves.png", "report.html",
)  # fmt: skip


@pytest.fixture
def run(trained: Any, tmp_path: Path) -> Path:
    """Return a copy of the shared run that may be changed."""
    copy = tmp_path / trained.bundle.parent.name
    shutil.copytree(trained.bundle.parent, copy)
    return copy


def test_a_training_writes_its_documents_and_then_its_mark(trained: Any) -> None:
    """A finished run has everything, and `done` is the youngest file."""
    folder = trained.bundle.parent
    times = {name: (folder / name).stat().st_mtime_ns for name in (*DOCUMENTS, "done")}
    assert times["done"] == max(times.values()), times


def test_what_is_missing_is_made_and_is_the_same(run: Path) -> None:
    """`imgclf report RUN` makes every document as the training made it, to the last byte."""
    before = {name: (run / name).read_bytes() for name in DOCUMENTS}
    for name in (*DOCUMENTS, "done"):
        (run / name).unlink()
    done = CliRunner().invoke(app, ["report", str(run), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"report": str(run / "report.html")}
    assert {name: (run / name).read_bytes() for name in DOCUMENTS} == before
    assert (run / "done").exists()


def test_what_a_person_wrote_stays(run: Path) -> None:
    """Corrections of suspects and notes on the card outlive a report that is made anew."""
    for name in ("suspects.csv", "model_card.md"):
        with (run / name).open("a", encoding="utf-8") as file:
            file.write("mine\n")
    (run / "report.html").unlink()
    write_documents(run)
    for name in ("suspects.csv", "model_card.md"):
        assert (run / name).read_text(encoding="utf-8").endswith("mine\n")
    assert (run / "report.html").exists()


def test_a_stopped_run_is_reported_and_not_done(run: Path) -> None:
    """It has its report, and can still be gone on with."""
    (run / "done").unlink()
    (run / "stopped").touch()
    write_documents(run)
    assert not (run / "done").exists()


def test_without_the_classifier_the_rest_is_made(run: Path) -> None:
    """Suspects need no classifier; of the others one line says why they are not made."""
    for name in (*DOCUMENTS, "done", "model.imgclf"):
        (run / name).unlink()
    with pytest.raises(
        RunFolderError,
        match=r"model_card\.md and report\.html cannot be made, .*model\.imgclf is missing",
    ):
        write_documents(run)
    with (run / "suspects.csv").open(encoding="utf-8") as file:
        assert "corrected" in next(csv.reader(file))
    assert not (run / "done").exists()


def test_another_classifier_is_not_described(run: Path) -> None:
    """A classifier that the figures are not of is refused, where the run knows its own."""
    with (run / "model.imgclf").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(RunFolderError, match=r"is another than that of record\.json"):
        write_documents(run)
