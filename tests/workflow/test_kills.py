"""Whenever a training is killed, it goes on from its last checkpoint to the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forked_python import ForkedPython

SCRIPT = Path(__file__).with_name("survive_kills.py")


def survive(
    python: ForkedPython, folder: Path, work: Path, kills: int, timeout_s: float
) -> dict[str, object]:
    """Run the script and return what it tells."""
    done = python.run(SCRIPT.read_text(), folder, work, kills, 7, timeout=timeout_s)
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def check(result: dict[str, object], kills: int) -> None:
    """Nothing failed, no child did more than one step again, and the weights are the uncut ones."""
    assert "error" not in result, result
    assert result["killed"] == kills
    lost = result["lost"]
    assert isinstance(lost, list)
    assert max(lost) <= 1, lost
    assert result["same_weights"] is True


def test_a_few_kills(two_classes: Path, forked_python: ForkedPython, tmp_path: Path) -> None:
    """Killed 2 times, a training of 60 steps ends with the uncut weights, bit for bit."""
    check(survive(forked_python, two_classes, tmp_path / "work", 2, timeout_s=400), 2)


@pytest.mark.slow
def test_two_hundred_kills(two_classes: Path, forked_python: ForkedPython, tmp_path: Path) -> None:
    """The same with 200 kills."""
    check(survive(forked_python, two_classes, tmp_path / "work", 200, timeout_s=7200), 200)
