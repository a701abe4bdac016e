"""Every example runs as it stands, on a few small images, and does what its first lines say."""

from __future__ import annotations

import csv
import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from conftest import write_images
from imgclf.cli.main import make_app

EXAMPLES = Path(__file__).parents[1] / "examples"

RunExample = Callable[..., dict[str, Any]]


@pytest.fixture
def run_example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunExample:
    """Return a function that runs an example in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: object) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    return run


def test_every_example_is_listed_and_run() -> None:
    """The README of the examples names each file, and each file is named in these tests."""
    files = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    listed = (EXAMPLES / "README.md").read_text()
    tests = Path(__file__).read_text()
    assert files == {name for name in files if f"({name})" in listed and f'"{name}"' in tests}


@pytest.mark.slow
def test_quickstart(
    run_example: RunExample, two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It trains, says how good the classifier is, and the saved file answers."""
    run_example("quickstart.py", two_classes)
    out = capsys.readouterr().out
    assert "Accuracy" in out
    assert "is: dark" in out
    assert Path("quickstart.imgclf").exists()


def test_the_recipe(
    run_example: RunExample, two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The eight steps are marked, run on two folders, and leave a classifier."""
    source = (EXAMPLES / "men_and_women.py").read_text()
    for step in range(1, 9):
        assert f"# {step}. " in source or f"and {step}. " in source
    val = write_images(Path("val"), {"dark": 6, "light": 6}, seed=1)
    few = write_images(Path("train"), {"dark": 16, "light": 16}, seed=2)
    names = run_example("men_and_women.py", few, val, 2)
    out = capsys.readouterr().out
    assert "32 images / 16 = 2 steps per epoch" in out
    assert names["result"].metrics.num_images == 12
    assert Path("men_and_women.imgclf").exists()


@pytest.mark.slow
def test_comparing_architectures(
    run_example: RunExample, two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All networks are measured on the same images and stand in one table, the best first."""
    names = run_example(
        "compare_architectures.py", two_classes, "three_conv", "one_hidden",
        "--epochs", 1, "--image-size", 24,
    )  # fmt: skip
    figures = [row[0] for row in names["rows"]]
    assert len({item.num_images for item in figures}) == 1
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {"architecture", "three_conv", "one_hidden"}


@pytest.mark.slow
def test_tuning_then_training(
    run_example: RunExample, two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The options that a search found are trained for longer and saved."""
    names = run_example(
        "tune_then_train.py", two_classes, "--trials", 2, "--trial-epochs", 1, "--epochs", 2,
        "--image-size", 24,
    )  # fmt: skip
    assert "Best of 2 trials" in capsys.readouterr().out
    assert len(names["result"].trials) == 2
    assert Path("tuned.imgclf").exists()


def test_predicting_a_folder(
    run_example: RunExample, two_classes: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every image is a row of the table; damaged ones are left out."""
    shutil.copytree(two_classes, "photos")
    Path("photos/broken.jpg").write_bytes(b"no image")
    run_example("predict_folder.py", bundle, "photos")
    with Path("labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    assert {row["label"] for row in rows} == {"dark", "light"}
    assert "of 100, see labels.csv" in capsys.readouterr().out


@pytest.mark.slow
def test_retraining(
    run_example: RunExample, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class is added by its folder; bundle and report of the new classifier are there."""
    folder = write_images(Path("new"), {"dark": 20, "grey": 20, "light": 20}, seed=3)
    run_example("retrain_on_new_data.py", bundle, folder, "--epochs", 1)
    out = capsys.readouterr().out
    assert "Classes: dark, grey, light" in out
    assert "Added: grey; dropped: none" in out
    assert Path("retrained/model.imgclf").exists()
    assert Path("retrained/report.html").exists()


def test_the_web_service(monkeypatch: pytest.MonkeyPatch, bundle: Path, two_classes: Path) -> None:
    """An image is answered with its class, anything else with 400 and a reason."""
    pytest.importorskip("flask")
    monkeypatch.setenv("IMGCLF_CLASSIFIER", str(bundle))
    app = runpy.run_path(str(EXAMPLES / "use_in_a_flask_app.py"))["app"]
    client = app.test_client()
    image = (two_classes / "dark" / "000.png").read_bytes()
    answer = client.post("/classify", data=image)
    assert answer.status_code == 200
    assert answer.json["label"] == "dark"
    assert sum(answer.json["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    refused = client.post("/classify", data=b"no image")
    assert refused.status_code == 400
    assert refused.json["reason"] == "not_an_image"
    assert client.get("/health").json["classes"] == ["dark", "light"]


@pytest.mark.slow
def test_the_notebook(tmp_path: Path) -> None:
    """Jupyter runs every cell without an error; the file in the repository holds no outputs."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    path = EXAMPLES / "first_classifier.ipynb"
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("EPOCHS = 6", "EPOCHS = 1")
    client = nbclient.NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert (tmp_path / "clothes.imgclf").exists()
    shown = notebook.cells[-3].outputs[-1]["data"]
    assert "image/png" in shown
    pages = [
        output["data"]["text/html"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "text/html" in output.get("data", {})
    ]
    # Check, progress of two trainings, classifier, evaluation, mistakes, images, curves, matrix.
    assert len(pages) == 9
    assert "Run folder:" in pages[1]
    assert "<progress" not in pages[1]


def test_the_unit_of_systemd_is_valid(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say against it."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    unit = (EXAMPLES / "serve" / "imgclf-serve.service").read_text()
    installed = "/opt/imgclf/bin/imgclf"
    assert installed in unit
    file = tmp_path / "imgclf-serve.service"
    file.write_text(unit.replace(installed, sys.executable))
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("imgclf-serve.service", r"^ExecStart=.*$"),
        ("Dockerfile", r"^(?:ENTRYPOINT|CMD) .*$"),
    ],
)
def test_imgclf_serve_knows_the_flags_of(name: str, lines: str) -> None:
    """Every flag that a file of examples/serve gives to `imgclf serve` is one of it."""
    text = (EXAMPLES / "serve" / name).read_text()
    given = re.findall(r"--[a-z-]+", "".join(re.findall(lines, text, re.MULTILINE)))
    verb = typer.main.get_command(make_app(["serve"])).commands["serve"]
    assert given
    assert set(given) <= {flag for parameter in verb.params for flag in parameter.opts}
