"""The types of the public face hold for a script of somebody else, under two type checkers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONSUMER = Path(__file__).parent / "consumer" / "use_imgclf.py"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Return the consumer's script in a folder of its own, far from our settings."""
    settings = {"typeCheckingMode": "standard", "reportMissingTypeStubs": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    return Path(shutil.copy(CONSUMER, tmp_path))


@pytest.mark.slow
def test_mypy_accepts_a_consumer(script: Path) -> None:
    """Every public name is exported and typed under `mypy --strict`."""
    command = [
        sys.executable, "-m", "mypy", "--strict", "--disable-error-code=import-untyped", script.name
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=script.parent, check=False)
    assert done.returncode == 0, done.stdout


def test_pyright_accepts_a_consumer(script: Path) -> None:
    """An editor that runs pyright finds nothing to complain of."""
    pytest.importorskip("basedpyright")
    command = [
        sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, script.name
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=script.parent, check=False)
    assert done.returncode == 0, done.stdout
