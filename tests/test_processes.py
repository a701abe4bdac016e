"""The processes that imgclf starts import from where imgclf does, and from nowhere else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import imgclf
from imgclf.doctor.diagnosis import _run_probe, diagnose
from imgclf.tuning.local_workers import LocalWorkers

ROOT = Path(imgclf.__file__).parent
TAKEN_FOR_PYTHONS = ("json", "pickle", "traceback", "random", "select", "keras", "imgclf")


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder, as one that was downloaded, with modules in it that should not run."""
    for name in TAKEN_FOR_PYTHONS:
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\nraise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_process_leaves_the_current_folder_alone() -> None:
    """Wherever imgclf starts Python, it says -P: nothing is imported from the current folder."""
    commands = [
        (path.name, [ast.unparse(item) for item in node.elts])
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.List)
        and node.elts
        and "sys.executable" in ast.unparse(node.elts[0])
    ]
    assert len(commands) >= 4
    for name, words in commands:
        assert words[1] == "'-P'", name


@pytest.mark.slow
def test_a_search_in_a_strange_folder_runs_nothing_of_it(trap: Path) -> None:
    """The processes of trials start, and no module beside the images runs."""
    with LocalWorkers(1) as pool:
        while not pool._workers[0].ready:
            list(pool.events(1.0))
    assert not (trap / "ran").exists()


def test_a_look_at_the_installation_runs_nothing_of_the_folder(trap: Path) -> None:
    """`imgclf doctor`, in whatever folder, looks at what is installed."""

    def probe(kind: str, *names: str) -> dict[str, Any]:
        if kind == "tensorflow":  # It is started alike, and takes long.
            return {"backend": "tensorflow", "gpus": [], "computes": True, "precision": "float32"}
        return _run_probe(kind, *names)

    assert "fault" not in diagnose(probe).decoders
    assert not (trap / "ran").exists()


def test_the_command_itself_imports_nothing_of_the_folder(trap: Path) -> None:
    """`imgclf`, as it is installed, does not look into the current folder either."""
    command = Path(sys.executable).with_name("imgclf")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("imgclf ")
    assert not (trap / "ran").exists()
