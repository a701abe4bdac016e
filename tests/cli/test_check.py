"""`imgclf check` and `imgclf cache` as a person meets them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def faulty(tmp_path: Path, two_classes: Path) -> Path:
    """Return a folder with a broken file and litter in it."""
    root = tmp_path / "photos"
    for path in two_classes.rglob("*.png"):
        target = root / path.relative_to(two_classes)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (root / "dark" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    (root / "dark" / "Thumbs.db").write_bytes(b"x")
    return root


def test_check_fits_a_terminal(imgclf_command: Run, faulty: Path) -> None:
    """Eighty columns hold classes, findings and remedies; 0 says that it can be trained on."""
    done = imgclf_command("check", faulty)
    assert done.returncode == 0, done.stderr
    for part in ("one folder per class", "dark", "light", "100 of 101 images", "Thumbs.db",
                 "1 file cannot be used", "broken.jpg", "Next: imgclf train"):  # fmt: skip
        assert part in done.stdout
    lines = [line for line in done.stdout.splitlines() if str(faulty) not in line]
    assert max(map(len, lines)) <= 80


def test_strict_turns_findings_into_an_exit_code(imgclf_command: Run, faulty: Path) -> None:
    """With --strict any finding ends with 1; the report is printed all the same."""
    done = imgclf_command("check", faulty, "--strict", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["trainable"] is True
    assert "unusable_truncated" in [finding["code"] for finding in report["findings"]]


def test_what_cannot_be_trained_ends_with_1(imgclf_command: Run, two_classes: Path) -> None:
    """One class folder given as the data set: the report says so, the exit code is 1."""
    done = imgclf_command("check", two_classes / "dark")
    assert done.returncode == 1
    assert "no class folders" in done.stdout
    assert "cannot be trained on yet" in done.stdout


def test_a_missing_folder_is_one_line(imgclf_command: Run, tmp_path: Path) -> None:
    """A wrong path is one sentence on standard error."""
    done = imgclf_command("check", tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_check_draws_a_preview(imgclf_command: Run, faulty: Path, tmp_path: Path) -> None:
    """--preview writes a picture and names it."""
    done = imgclf_command("check", faulty, "--preview", tmp_path / "sheet.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert "sheet.png" in done.stdout


def test_the_cache_can_be_listed_and_cleared(
    imgclf_command: Run, faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a check kept is listed with its size, and is gone after clearing."""
    monkeypatch.setitem(os.environ, "IMGCLF_CACHE_DIR", str(tmp_path / "cache"))
    imgclf_command("check", faulty)
    listed = json.loads(imgclf_command("cache", "list", "--json").stdout)
    assert len(listed["entries"]) == 1
    assert listed["size_bytes"] > 100_000
    assert "of at most" in imgclf_command("cache", "list").stdout
    freed = json.loads(imgclf_command("cache", "clear", "--json").stdout)["freed_bytes"]
    assert freed == listed["size_bytes"]
    assert json.loads(imgclf_command("cache", "list", "--json").stdout)["entries"] == []
