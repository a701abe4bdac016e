"""What `predict` prints of one image: the class, what else it may be, and flags apart from it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import imgclf
from imgclf.cli.main import app
from imgclf.cli.predict import _answer
from imgclf.data.store import cache


def shown(probabilities: dict[str, float], **facts: object) -> str:
    """Return the answer as the table shows it, without its styles."""
    label, top = max(probabilities.items(), key=lambda item: item[1])
    prediction = imgclf.Prediction("new.jpg", label, top, probabilities, **facts)  # type: ignore[arg-type]
    return re.sub(r"\[/?[a-z]*\]", "", _answer(prediction))


def test_a_sure_answer_is_the_class_alone() -> None:
    """From 80% on nothing else is named."""
    assert shown({"cat": 0.93, "dog": 0.07}) == "cat"


def test_an_unsure_answer_names_the_runners_up() -> None:
    """Below it the two next likely classes follow, with their probabilities; none below 5%."""
    assert shown({"cat": 0.55, "dog": 0.31, "owl": 0.12, "fox": 0.02}) == "cat or dog 31%, owl 12%"
    assert shown({"cat": 0.7, "dog": 0.27, "owl": 0.03}) == "cat or dog 27%"


def test_flags_stand_apart_from_the_class() -> None:
    """A class and "unfamiliar" cannot be read as one name; "unsure" comes before the class."""
    assert shown({"dog": 0.97, "cat": 0.03}, familiarity=0.001) == "dog · unfamiliar"
    both = shown({"dog": 0.6, "cat": 0.4}, accepted=False, familiarity=0.001)
    assert both == "unsure · dog or cat 40% · unfamiliar"


def test_a_prediction_shows_itself_in_a_line() -> None:
    """Python's console gets the same words, not a dictionary of every class."""
    row = {"cat": 0.55, "dog": 0.45}
    prediction = imgclf.Prediction("new.jpg", "cat", 0.55, row, accepted=False)
    assert repr(prediction) == "<Prediction: cat 55.0% or dog 45.0%, unsure: new.jpg>"


def test_the_cache_names_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cache list` says which folder's pixels are kept; a hostile name steers no terminal."""
    monkeypatch.setenv("IMGCLF_CACHE_DIR", str(tmp_path))
    entry = cache.cache_folder() / "0123"
    entry.mkdir(parents=True)
    cache.note_source(entry, "/photos/pe\x1bts")
    listed = CliRunner().invoke(app, ["cache", "list"], env={"COLUMNS": "80"}).stdout
    assert "pixels" in listed
    assert "/photos/pe\\x1bts" in listed
    found = json.loads(CliRunner().invoke(app, ["cache", "list", "--json"]).stdout)
    assert found["entries"][0]["source"] == "/photos/pe\x1bts"
