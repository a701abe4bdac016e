"""A ZIP file goes the whole way, never unpacked; rare classes are shown more often."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from shutil import make_archive
from typing import Any

import pytest

from conftest import write_images

Run = Callable[..., subprocess.CompletedProcess[str]]

COUNTS = {"dark": 28, "light": 8}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with nothing in it but ``photos.zip``, of many dark and few light images."""
    images = write_images(tmp_path_factory.mktemp("images"), COUNTS)
    archive = tmp_path_factory.mktemp("zip") / "photos"
    return Path(make_archive(str(archive), "zip", images))


@pytest.fixture(scope="module")
def training(
    photos: Path, imgclf_command: Run, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Train on the ZIP file, oversampled and mixed; return the run folder and the summary."""
    run_dir = tmp_path_factory.mktemp("trained") / "run"
    done = imgclf_command(
        *("train", photos.name, "--arch", "one_hidden", "--image-size", "24", "--epochs", "1"),
        *("--oversample", "--mixup", "0.2", "--cutmix", "1", "--run-dir", run_dir, "--json"),
        cwd=photos.parent,
    )
    assert done.returncode == 0, done.stderr
    return run_dir, json.loads(done.stdout)


def test_check_reads_a_zip_file(photos: Path, imgclf_command: Run) -> None:
    """Check counts the classes inside, sees that one is rare, and names the next command."""
    done = imgclf_command("check", photos.name, cwd=photos.parent)
    assert done.returncode == 0, done.stderr
    for part in ("a ZIP file with one folder per class", "36 of 36 images", "28", "8",
                 "3.5 times as many", "--oversample", "Next: imgclf train photos.zip"):  # fmt: skip
        assert part in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_train_reads_a_zip_file(photos: Path, training: tuple[Path, dict[str, Any]]) -> None:
    """Every image is on one side of the split, and nothing is unpacked beside the ZIP file."""
    run_dir, summary = training
    with (run_dir / "split.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["class"] for row in rows) == COUNTS
    assert all(row["path"].startswith(str(photos)) for row in rows)
    assert summary["num_train"] + summary["num_val"] + summary["num_images"] == len(rows)
    assert list(photos.parent.iterdir()) == [photos]


def test_oversampling_and_mixing_reach_the_training(training: tuple[Path, dict[str, Any]]) -> None:
    """An epoch shows the rare class as often as the other; the run says how it was trained."""
    run_dir, summary = training
    with (run_dir / "split.csv").open(encoding="utf-8") as file:
        trained_on = Counter(
            row["class"] for row in csv.DictReader(file) if row["split"] == "train"
        )
    assert summary["num_train"] == trained_on.total()
    num_shown = summary["images_per_s"] * summary["durations_s"]["fit"]
    assert num_shown == pytest.approx(2 * trained_on["dark"])
    config = json.loads((run_dir / "config.json").read_text(encoding="utf-8"))
    assert config["oversample"] is True
    assert (config["mixup"], config["cutmix"]) == (0.2, 1.0)


def test_predict_reads_a_zip_file(
    photos: Path, training: tuple[Path, dict[str, Any]], imgclf_command: Run
) -> None:
    """Each image of the ZIP file gets a row with the path that leads to it."""
    before = hashlib.sha256(photos.read_bytes()).hexdigest()
    done = imgclf_command("predict", training[0] / "model.imgclf", photos, "--json")
    assert done.returncode == 0, done.stderr
    predicted = json.loads(done.stdout)
    assert Counter(Path(one["path"]).parent for one in predicted) == {
        photos / name: count for name, count in COUNTS.items()
    }
    assert all(sum(one["probabilities"].values()) == pytest.approx(1) for one in predicted)
    assert hashlib.sha256(photos.read_bytes()).hexdigest() == before
