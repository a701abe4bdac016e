"""evaluate, predict and report as a person meets them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from imgclf.cli._figures import confusion_table, curve_line, print_confusion, print_learning_curve
from imgclf.cli.main import app
from imgclf.errors import AccuracyError, DataNotFoundError


def invoke(*arguments: object) -> Any:
    """Run a command in this process; standard output and error are apart."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], color=False)


def test_evaluate_prints_every_figure(bundle: Path, two_classes: Path) -> None:
    """Accuracy, both baselines, calibration, matrix and the training images are all there."""
    done = invoke("evaluate", bundle, two_classes, "--all", "--min-precision", "0.9")
    assert done.exit_code == 0
    for part in ("95% interval", "always answering", "tiny thumbnails", "macro F1",
                 "calibration error", "of the images", "recall"):  # fmt: skip
        assert part in done.stdout
    assert "were training images" in done.stderr


def test_evaluate_writes_a_row_per_image(bundle: Path, two_classes: Path) -> None:
    """--csv gives path, truth, answer and every probability of each image."""
    rows = list(
        csv.DictReader(
            io.StringIO(invoke("evaluate", bundle, two_classes, "--csv", "--all").stdout)
        )
    )
    figures = json.loads(invoke("evaluate", bundle, two_classes, "--json", "--all").stdout)
    assert len(rows) == 100
    assert sum(row["correct"] == "true" for row in rows) == figures["num_correct"]
    for row in rows:
        assert (row["true"] == row["predicted"]) == (row["correct"] == "true")
        assert float(row["dark"]) + float(row["light"]) == pytest.approx(1)


def test_the_folder_of_the_training_gives_the_headline(
    trained: Any, bundle: Path, two_classes: Path, tmp_path: Path
) -> None:
    """On the folder that it was trained on, the test images of the run are measured."""
    done = invoke("evaluate", bundle, two_classes, "--json")
    figures = json.loads(done.stdout)
    assert figures["accuracy"] == trained.evaluation.accuracy
    assert figures["num_images"] == trained.evaluation.metrics.num_images < 100
    assert figures["num_seen"] == 0
    assert "test images of" in done.stderr
    alone = tmp_path / "alone.imgclf"  # the division is not beside it
    alone.write_bytes(bundle.read_bytes())
    split = str(bundle.parent / "split.csv")
    again = invoke("evaluate", alone, two_classes, "--json", "--split-file", split)
    assert json.loads(again.stdout)["num_correct"] == figures["num_correct"]
    assert "were training images" in invoke("evaluate", alone, two_classes).stderr


def test_assert_accuracy_decides(bundle: Path, two_classes: Path, tmp_path: Path) -> None:
    """Below the demanded accuracy the command fails after its figures; at it, it succeeds."""
    (tmp_path / "dark").symlink_to(two_classes / "light")  # everything is wrong here
    (tmp_path / "light").symlink_to(two_classes / "dark")
    failed = invoke("evaluate", bundle, tmp_path, "--assert-accuracy", "0.9")
    assert isinstance(failed.exception, AccuracyError)
    assert "Accuracy" in failed.stdout
    assert "Confusion matrix" in failed.stdout
    figures = json.loads(invoke("evaluate", bundle, two_classes, "--json").stdout)
    passed = invoke("evaluate", bundle, two_classes, "--assert-accuracy", figures["accuracy"])
    assert passed.exit_code == 0


def test_predict_says_unsure(bundle: Path, two_classes: Path) -> None:
    """With --min-precision each record says whether it is accepted; the label stays."""
    arguments = ("predict", bundle, two_classes, "--json")
    plain = json.loads(invoke(*arguments).stdout)
    asked = json.loads(invoke(*arguments, "--min-precision", "0.9").stdout)
    assert all(item["accepted"] for item in plain)
    assert [item["label"] for item in plain] == [item["label"] for item in asked]


def test_predict_explains(bundle: Path, two_classes: Path, tmp_path: Path) -> None:
    """--explain writes one picture per image, of the size that the network reads."""
    done = invoke("predict", bundle, two_classes / "dark" / "00[0-2].png", "--explain",
                  tmp_path / "new" / "why")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    pictures = sorted((tmp_path / "new" / "why").iterdir())
    assert [path.name for path in pictures] == ["0001-000.png", "0002-001.png", "0003-002.png"]
    with Image.open(pictures[0]) as picture:
        assert (picture.size, picture.mode) == ((24, 24), "RGB")


def test_predict_explains_images_of_long_names(
    bundle: Path, two_classes: Path, tmp_path: Path
) -> None:
    """A heat map's name, made from an image's, fits the disk however long that is."""
    image = tmp_path / f"{'é' * 123}.png"
    shutil.copy(two_classes / "dark" / "000.png", image)
    done = invoke("predict", bundle, image, "--explain", tmp_path / "why")
    assert done.exit_code == 0, done.stderr
    assert [path.name for path in (tmp_path / "why").iterdir()] == [f"0001-{'é' * 50}.png"]


def test_report_is_made_again(trained: Any, tmp_path: Path) -> None:
    """`imgclf report RUN` makes the page that training made, from the folder alone."""
    copy = tmp_path / "run"
    shutil.copytree(trained.bundle.parent, copy)
    before = (copy / "report.html").read_text(encoding="utf-8")
    (copy / "report.html").unlink()
    done = invoke("report", copy)
    assert done.exit_code == 0, done.stderr
    assert "report.html" in done.stdout
    assert len((copy / "report.html").read_text(encoding="utf-8")) == pytest.approx(
        len(before), rel=0.01
    )


def test_a_missing_run_is_named(tmp_path: Path) -> None:
    """A run folder that does not exist is an expected error."""
    assert isinstance(invoke("report", tmp_path / "nothing").exception, DataNotFoundError)


def test_classes_called_by_numbers_have_columns_called_by_letters() -> None:
    """In the confusion matrix no column's sign can be taken for a class that is called so."""
    counts = np.array([[5, 0, 0], [0, 5, 0], [0, 1, 4]])
    for names, signs in ((("0", "1", "2"), "A B C"), (("cat", "dog", "fox"), "1 2 3")):
        found: Any = SimpleNamespace(class_names=names, metrics=SimpleNamespace(confusion=counts))
        shown = io.StringIO()
        Console(file=shown, width=80).print(confusion_table(found))
        heading, *rows = shown.getvalue().splitlines()
        assert " ".join(heading.split()) == signs
        assert rows[2].split()[:2] == [signs[4], names[2]]


def test_few_classes_head_their_columns_by_name() -> None:
    """A matrix that fits has the classes' names above its columns; two classes need no pairs."""
    counts = np.array([[145, 5], [1, 149]])
    found: Any = SimpleNamespace(
        class_names=("cat", "dog"), metrics=SimpleNamespace(confusion=counts)
    )
    console = Console(file=io.StringIO(), width=80)
    print_confusion(console, found)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line.split() for line in text.splitlines()[2:]] == [
        ["cat", "dog"],
        ["cat", "145", "5"],
        ["dog", "1", "149"],
    ]


def test_curves_keep_their_shape() -> None:
    """A curve of blocks rises from the least to the greatest, and fits its width."""
    assert curve_line([0.0, 0.5, 1.0]) == "▁▅█"
    assert curve_line([2.0, 2.0]) == "▅▅"
    assert curve_line([1.0, float("nan"), 0.0]) == "█?▁"
    assert len(curve_line(list(range(500)))) == 50


def test_two_runs_are_compared(trained: Any, tmp_path: Path) -> None:
    """`report --compare` prints both accuracies and the test; one run alone is a usage error."""
    run = trained.bundle.parent
    done = invoke("report", "--compare", run, run, "--output", tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 10_000
    assert "differ by no more than chance explains (McNemar's exact test, p = 1)" in " ".join(
        done.stdout.split()
    )
    found = json.loads(invoke("report", "--compare", run, run, "--json").stdout)
    assert found["accuracies"][0] == found["accuracies"][1] == trained.evaluation.accuracy
    assert invoke("report", "--compare", run).exit_code == 2
    assert invoke("report", run, "--output", tmp_path / "x.html").exit_code == 2


@pytest.mark.parametrize("images_per_cell", [33, 123_456])
def test_the_matrix_fits_eighty_columns(images_per_cell: int) -> None:
    """A matrix of 12 classes has every count whole in 80 columns, or is left to its pairs."""
    counts = np.full((12, 12), images_per_cell)
    names = tuple(f"a class with a long name {number}" for number in range(12))
    evaluation: Any = SimpleNamespace(class_names=names, metrics=SimpleNamespace(confusion=counts))
    console = Console(file=io.StringIO(), width=80)
    print_confusion(console, evaluation)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 80
    rows = [line for line in text.splitlines() if line.count(str(images_per_cell)) == 12]
    assert len(rows) == (12 if images_per_cell == 33 else 0)
    assert "taken for" in text


def test_the_learning_curve_fits_eighty_columns() -> None:
    """Whatever the metric is called and however many epochs there were."""
    console = Console(file=io.StringIO(), width=80)
    names = ("val_loss", "val_accuracy", "val_binary_accuracy", "val_categorical_accuracy")
    print_learning_curve(console, {name: [0.25] * 500 for name in names})
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert sum("▅" in line and len(line) <= 80 for line in lines) == len(names)
