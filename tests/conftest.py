"""What many tests share: a folder of small images, one trained classifier, and their own cache."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from PIL import Image

from browsing import ARGUMENTS, CHROMIUM
from forked_python import ForkedPython
from loopback_network import LoopbackNetwork, why_no_namespaces

# Before TensorFlow is imported by anyone: as the command line starts it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# A busy machine is not a defect: no example is refused for its duration.
hypothesis.settings.register_profile("imgclf", deadline=None, max_examples=50)
hypothesis.settings.load_profile("imgclf")

COMMAND = "from imgclf.cli.main import run; run()"
"""What the `imgclf` command is."""

Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_finish() -> None:
    """Let the collector, which every conversion of a network calls, pass over what was imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests' pixels out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("IMGCLF_CACHE_DIR")
    os.environ["IMGCLF_CACHE_DIR"] = str(folder)
    yield folder
    if before is None:
        del os.environ["IMGCLF_CACHE_DIR"]
    else:
        os.environ["IMGCLF_CACHE_DIR"] = before


def write_images(
    root: Path, counts: dict[str, int], *, side: int = 24, seed: int = 0, ending: str = ".png"
) -> Path:
    """Write noise images whose brightness tells their class; learnable in a few steps."""
    rng = np.random.default_rng(seed)
    for level, (name, count) in enumerate(counts.items()):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        centre = 255 * (level + 1) / (len(counts) + 1)
        for number in range(count):
            noise = rng.normal(centre, 30, (side, side, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(folder / f"{number:03}{ending}")
    return root


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 60 dark and 40 light images, one sub-folder per class."""
    return write_images(tmp_path_factory.mktemp("two"), {"dark": 60, "light": 40})


@pytest.fixture(scope="session")
def three_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of three classes with 30 images each."""
    return write_images(tmp_path_factory.mktemp("three"), {"a": 30, "b": 30, "c": 30})


@pytest.fixture(scope="session")
def trained(two_classes: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the one small training that tests share: a `TrainingRun` with its run folder."""
    from imgclf.workflow.training import Settings, run_training

    settings = Settings(
        architecture="three_conv",
        options={"filters": 8, "hidden_units": 8, "dropout": 0.0},
        image_size=(24, 24),
        epochs=10,
        batch_size=16,
        learning_rate=5e-3,
    )
    return run_training(two_classes, settings, run_dir=tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="session")
def bundle(trained: Any) -> Path:
    """Return the bundle of the shared training."""
    return trained.bundle


@pytest.fixture(scope="session")
def forked_python() -> Iterator[ForkedPython]:
    """Return the starter of processes that need not import TensorFlow again."""
    python = ForkedPython()
    yield python
    python.close()


@pytest.fixture(scope="session")
def imgclf_command(forked_python: ForkedPython) -> Run:
    """Return a function that runs the real command in a process of its own.

    ``fresh=True`` asks for one that starts from nothing, where the start is part of the promise; an
    environment that Python or TensorFlow reads when it starts gets one, too.
    """

    def run(
        *arguments: object, cwd: Path | None = None, fresh: bool = False, **env: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COLUMNS": "80", **env}
        if not fresh and forked_python.can_start(environment):
            return forked_python.run(COMMAND, *arguments, cwd=cwd, env=environment)
        return subprocess.run(
            [sys.executable, "-c", COMMAND, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env=environment,
            timeout=240,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def loopback_network() -> Iterator[LoopbackNetwork]:
    """Return a network of its own with nothing but loopback, for Ray."""
    pytest.importorskip("ray", reason="needs the extra ray")
    if reason := why_no_namespaces():
        pytest.skip(reason)
    network = LoopbackNetwork()
    yield network
    network.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a real browser."""
    if os.environ.get("IMGCLF_REQUIRE_BROWSER"):
        assert CHROMIUM, "no chromium, and IMGCLF_REQUIRE_BROWSER forbids to skip these tests"
    elif not CHROMIUM:
        pytest.skip("needs chromium: install it, or name it in IMGCLF_CHROMIUM")
    else:
        pytest.importorskip("playwright", reason="needs the package playwright")
    import playwright.sync_api as api

    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()
