"""Faults of the machine are one line with cause and remedy and exit code 1, never called bugs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import COMMAND, Run
from imgclf.cli import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX has these faults")


def assert_expected(done: subprocess.CompletedProcess[str], message: str) -> None:
    """Check that a command ended with one line on standard error, and exit code 1."""
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr


@pytest.mark.parametrize("verb", ["list", "clear"])
def test_a_cache_that_cannot_be_read(imgclf_command: Run, tmp_path: Path, verb: str) -> None:
    """A cache folder that cannot be read is named with the reason and the remedy."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    done = imgclf_command("cache", verb, IMGCLF_CACHE_DIR=str(tmp_path / "loop"))
    assert_expected(done, "loop/pixels cannot be used (Too many levels of symbolic links): correct")


def test_the_diagnosis_goes_on_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`imgclf doctor` tells of a cache folder that cannot be read among the other problems."""
    from imgclf.doctor.diagnosis import _describe_cache

    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.setenv("IMGCLF_CACHE_DIR", str(tmp_path / "loop"))
    assert "cannot be" in _describe_cache()["fault"]


def test_a_working_directory_that_was_removed(two_classes: Path, tmp_path: Path) -> None:
    """In a removed folder relative paths are refused for that reason; whole paths work."""
    code = f"import os; os.rmdir(os.getcwd()); {COMMAND}"
    for images, worked in ((two_classes, True), ("photos", False)):
        (tmp_path / "gone").mkdir()
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, "check", str(images), "--image-size", "24"],
            cwd=tmp_path / "gone", capture_output=True, text=True, check=False,
        )  # fmt: skip
        if worked:
            assert done.returncode == 0, done.stderr
        else:
            assert_expected(done, "The current folder has been removed")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_standard_output_on_a_full_disk(flags: tuple[str, ...], two_classes: Path) -> None:
    """What cannot be printed ends a command as an expected error, also at its very end."""
    command = ["check", str(two_classes), "--image-size", "24", *flags]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *command],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert_expected(done, "(No space left on device): free some space")


def test_a_limit_on_the_size_of_files(two_classes: Path, tmp_path: Path) -> None:
    """`ulimit -f` is named where it is what ends a command."""
    code = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (2000, 2000)); {COMMAND}"
    sheet = tmp_path / "sheet.png"
    done = subprocess.run(
        [sys.executable, "-c", code, "check", str(two_classes), "--preview", str(sheet)],
        env={**os.environ, "IMGCLF_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert_expected(done, "(File too large): raise the limit on the size of files (ulimit -f)")


def test_a_bug_stays_a_bug() -> None:
    """What no operating system reports is not explained away."""
    assert main._fault_of_machine(ValueError("x")) == ""
    assert main._fault_of_machine(OSError("no number, so of no system")) == ""
    assert "a/b cannot be used" in main._fault_of_machine(PermissionError(13, "denied", b"a/b"))
