"""A person's corrections become a new data set, and nothing of the user's is touched."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import imgclf
from imgclf.cli.main import app
from imgclf.data.batches.generators import make_generators
from imgclf.errors import DataError, DataNotFoundError

CLASSES = ("cat", "dog, brown")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run folder with a division of six images and two suspects."""
    folder = tmp_path / "run"
    folder.mkdir()
    rows = [
        [f"/photos/{number}.jpg", f"{number:064}", CLASSES[number % 2], split]
        for number, split in enumerate(["train", "train", "val", "val", "test", "test"])
    ]
    write(folder / "split.csv", ["path", "sha256", "class", "split"], *rows)
    suspects(folder / "suspects.csv", ("4", ""), ("5", ""))
    return folder


def write(path: Path, *rows: list[str], encoding: str = "utf-8") -> Path:
    """Write a CSV file."""
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows(rows)
    return path


def suspects(path: Path, *decisions: tuple[str, str], encoding: str = "utf-8") -> Path:
    """Write suspects with what a person decided."""
    rows = [[f"/photos/{name}.jpg", "?", "cat", "0.9", decided] for name, decided in decisions]
    header = ["path", "label", "suggested", "score", "corrected"]
    return write(path, header, *rows, encoding=encoding)


def listed(path: Path) -> dict[str, tuple[str, str]]:
    """Read a data set: label and split of each image."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["path"]: (row["label"], row["split"]) for row in csv.DictReader(file)}


def test_decisions_are_followed(run: Path, tmp_path: Path) -> None:
    """A class replaces the label, - leaves the image out, an empty entry and all others stay."""
    edited = suspects(
        tmp_path / "edited.csv", ("4", " dog, brown"), ("5", ""), ("3", "-"), ("2", "cat")
    )
    done = imgclf.relabel(run, edited)
    assert done.path == run / "relabelled.csv"
    assert [(item.path, item.before, item.after) for item in done.corrections] == [
        ("/photos/4.jpg", "cat", "dog, brown"),
        ("/photos/3.jpg", "dog, brown", None),
    ]
    assert listed(done.path) == {
        "/photos/0.jpg": ("cat", "train"),
        "/photos/1.jpg": ("dog, brown", "train"),
        "/photos/2.jpg": ("cat", "val"),
        "/photos/4.jpg": ("dog, brown", "test"),
        "/photos/5.jpg": ("dog, brown", "test"),
    }
    assert done.num_images == 5


def test_a_spreadsheets_byte_order_mark_is_read(run: Path, tmp_path: Path) -> None:
    """A file that a spreadsheet saved, with a byte order mark, is read like any other."""
    edited = suspects(tmp_path / "edited.csv", ("4", "dog, brown"), encoding="utf-8-sig")
    assert len(imgclf.relabel(run, edited).corrections) == 1


def test_an_endless_entry_is_named_by_line(run: Path, tmp_path: Path) -> None:
    """What Python's own reader of CSV files refuses is one sentence with the line."""
    broken = write(tmp_path / "broken.csv", ["path", "corrected"], ["x" * 200_000, "cat"])
    with pytest.raises(DataError, match=r"broken\.csv, line 2: this is no CSV file"):
        imgclf.relabel(run, broken)


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (("4", ""), "corrects nothing"),
        (("4", "cat"), "corrects nothing"),
        (("4", "dog, brwn"), r"line 2: 'dog, brwn' is no class.*Did you mean 'dog, brown'\?"),
        (("9", "cat"), r"line 2: '/photos/9\.jpg' is no image of this run"),
    ],
)
def test_mistakes_are_refused(run: Path, decision: tuple[str, str], message: str) -> None:
    """Nothing corrected, a mistyped class and a strange image are refused; nothing is written."""
    suspects(run / "suspects.csv", decision)
    with pytest.raises(DataError, match=message):
        imgclf.relabel(run)
    assert not (run / "relabelled.csv").exists()


def test_other_files_are_refused(run: Path, tmp_path: Path) -> None:
    """A table without the column, missing files and an existing output are named."""
    plain = write(tmp_path / "plain.csv", ["path", "label"])
    with pytest.raises(DataError, match=r"plain\.csv has the columns path, label"):
        imgclf.relabel(run, plain)
    with pytest.raises(DataNotFoundError, match=r"nothing\.csv"):
        imgclf.relabel(run, tmp_path / "nothing.csv")
    with pytest.raises(DataNotFoundError, match="run folder"):
        imgclf.relabel(tmp_path / "nothing")
    good = suspects(tmp_path / "good.csv", ("4", "-"))
    with pytest.raises(DataError, match="exists already"):
        imgclf.relabel(run, good, output=good)
    with pytest.raises(DataError, match=r"does not end in \.csv"):
        imgclf.relabel(run, good, output=tmp_path / "new.txt")


def test_the_corrected_set_is_trained_on(trained: Any, two_classes: Path, tmp_path: Path) -> None:
    """Corrected labels, every image on its side, and no file of the user's changed."""
    before = {path: path.stat() for path in two_classes.rglob("*")}
    folder = trained.bundle.parent
    first = trained.evaluation.paths[0]
    label = trained.classifier.class_names[trained.evaluation.labels[0]]
    other = "light" if label == "dark" else "dark"
    header = ["path", "label", "suggested", "score", "corrected"]
    edited = write(tmp_path / "edited.csv", header, [first, label, other, "0.9", other])
    output = tmp_path / "right.csv"
    done = CliRunner().invoke(
        app, ["relabel", str(folder), str(edited), "--output", str(output), "--json"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["corrections"] == [
        {"path": first, "before": label, "after": other}
    ]
    train, val = make_generators(output, image_size=(24, 24))
    assert train.num_samples == trained.data.train.num_samples
    assert val.num_samples == trained.data.val.num_samples
    assert listed(output)[first] == (other, "test")
    assert {path: path.stat() for path in two_classes.rglob("*")} == before


def test_the_command_says_what_it_did(run: Path, tmp_path: Path) -> None:
    """The table shows what each image was and is, and the next command is named."""
    (run / "config.json").write_text("{}", encoding="utf-8")
    edited = suspects(tmp_path / "edited.csv", ("4", "dog, brown"), ("3", "-"))
    done = CliRunner().invoke(app, ["relabel", str(run), str(edited)], color=False)
    assert done.exit_code == 0, done.output
    for part in (
        "/photos/4.jpg",
        "dog, brown",
        "left out",
        "2 corrected, 5 images",
        "imgclf train",
    ):
        assert part in done.stdout
