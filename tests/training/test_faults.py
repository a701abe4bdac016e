"""Full disks and races: what was there stays whole, and exactly one of many runs has a folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from forked_python import ForkedPython

FULL_DISK = """
import json, pathlib, resource, signal, sys
from dataclasses import replace
import imgclf
from imgclf.training.checkpoints import newest_state, save_state

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
bundle, checkpoints = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
num_places = int(sys.argv[3])
classifier, state = imgclf.load(bundle), newest_state(checkpoints)
savers = {
    "bundle": (lambda: classifier.save(bundle), bundle),
    "checkpoint": (lambda: save_state(checkpoints, replace(state, epoch=9)), checkpoints),
}


def files(place):
    paths = place.iterdir() if place.is_dir() else place.parent.glob("*.imgclf*")
    return {path.name: path.read_bytes() for path in paths}


for name, (save, place) in savers.items():
    before = files(place)
    size = max(len(content) for content in before.values())
    for step in range(num_places):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size * step // num_places, -1))
        try:
            save()
            outcome = "saved"
        except imgclf.ImgclfError as error:
            outcome = str(error)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
        print(json.dumps([name, outcome, files(place) == before]))
print(json.dumps(["loads", imgclf.load(bundle).class_names == classifier.class_names, True]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit for file sizes")
@pytest.mark.parametrize("num_places", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_a_disk_that_is_full_at_any_byte(
    num_places: int, trained: Any, forked_python: ForkedPython, tmp_path: Path
) -> None:
    """Where the system refuses a write, at places all over each file, old ones stay whole."""
    bundle = tmp_path / "bundles" / "model.imgclf"
    bundle.parent.mkdir()
    shutil.copy(trained.bundle, bundle)
    shutil.copytree(trained.bundle.parent / "checkpoints", tmp_path / "checkpoints")
    done = forked_python.run(FULL_DISK, bundle, tmp_path / "checkpoints", num_places)
    assert done.returncode == 0, done.stderr[-2000:]
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, _, _ in lines] == ["bundle"] * num_places + ["checkpoint"] * num_places
    assert all("cannot be written (File too large)" in outcome for _, outcome, _ in lines), lines
    assert all(unchanged for _, _, unchanged in lines)
    assert last == ["loads", True, True]


RACER = textwrap.dedent(
    """
    import sys, time
    from imgclf.errors import RunFolderError
    from imgclf.runs.folder import open_run_folder
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        with open_run_folder(sys.argv[1]):
            print("won", flush=True)
            sys.stdin.readline()
    except RunFolderError as error:
        print("refused", "Another training is running" in str(error), flush=True)
    """
)


def test_twenty_racing_starts(tmp_path: Path) -> None:
    """Of 20 processes that start in one folder at the same moment, exactly one gets it."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, tmp_path / "run"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(20)
    ]  # fmt: skip
    try:
        assert {_line(racer) for racer in racers} == {"ready"}
        for racer in racers:
            _answer(racer)
        outcomes = sorted(_line(racer) for racer in racers)
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    assert outcomes == ["refused True"] * 19 + ["won"]


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _answer(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
