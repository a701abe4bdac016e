"""Keras on another backend than TensorFlow is told before, or in place of, what its import says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Run
from imgclf.doctor.probe import try_tensorflow
from imgclf.machine import keras_backend

MESSAGE = "Keras runs on the backend 'nonsense'; imgclf needs 'tensorflow': set KERAS_BACKEND="


@pytest.fixture
def without_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it seem as if nothing had imported Keras, and nobody had chosen a backend."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)


@pytest.mark.usefixtures("without_keras")
def test_the_variable_counts_more_than_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read where Keras reads it: KERAS_BACKEND, then keras.json, then its default."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert keras_backend.chosen_backend() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    assert keras_backend.chosen_backend() == "torch"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert keras_backend.chosen_backend() == "jax"


@pytest.mark.usefixtures("without_keras")
def test_the_diagnosis_names_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """`imgclf doctor` finds the backend without importing it, and blames no package."""
    monkeypatch.setenv("KERAS_BACKEND", "nonsense")
    assert try_tensorflow()["backend"] == "nonsense"


def test_a_command_names_the_backend(imgclf_command: Run, bundle: Path, two_classes: Path) -> None:
    """On the command line another backend is one line and exit code 1."""
    image = two_classes / "dark" / "000.png"
    done = imgclf_command("predict", bundle, image, "--engine", "keras", KERAS_BACKEND="nonsense")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {MESSAGE}")
    assert len(done.stderr.splitlines()) == 1


def test_python_names_the_backend() -> None:
    """In Python it is the documented error, at the first use of a name that needs Keras."""
    code = "import imgclf\ntry: imgclf.fit\nexcept imgclf.BackendError as error: print(error)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "nonsense"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(MESSAGE)
