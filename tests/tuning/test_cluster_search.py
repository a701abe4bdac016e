"""Searches on real Ray clusters, in a network that has nothing but loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import imgclf
from conftest import COMMAND
from forked_python import ForkedPython
from loopback_network import ENTER
from ray_nodes import RayNodes

SEARCH = ("--arch", "shaky", "--image-size", "24", "--batch-size", "16", "--augment", "none",
          "--learning-rate", "0.05")  # fmt: skip


class Searches:
    """Starts `imgclf tune` in the network of a cluster.

    The command and the processes of trials begin with TensorFlow imported, where root may enter
    the network without a new process.
    """

    def __init__(self, nodes: RayNodes, python: ForkedPython, images: Path) -> None:
        self.nodes, self.images, self._python = nodes, images, python

    def start(self, study: Path, *arguments: object, **env: str) -> Any:
        """Start a search; its standard error tells of each trial."""
        network, whole = self.nodes.network, {**self.nodes.env, **env}
        command = ["tune", self.images, *SEARCH, "--study-dir", study, "--json", *arguments]
        if os.geteuid() == 0:
            return self._python.start(ENTER + COMMAND, network.namespace, *command, env=whole)
        return subprocess.Popen(
            [*network.enter, sys.executable, "-c", COMMAND, *map(str, command)], env=whole,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.fixture
def searches(
    loopback_network: Any, forked_python: ForkedPython, command_env: dict[str, str],
    two_classes: Path, tmp_path: Path,
) -> Iterator[Searches]:  # fmt: skip
    """Return the starter of searches; no process of theirs outlives the test."""
    start = f"import sys\nsys.executable = {forked_python.executable!r}\n"
    (tmp_path / "sitecustomize.py").write_text(start)
    paths = [str(tmp_path), command_env["PYTHONPATH"], *filter(None, sys.path)]
    nodes = RayNodes(loopback_network, PYTHONPATH=os.pathsep.join(paths))
    yield Searches(nodes, forked_python, two_classes)
    nodes.close()


def trials_of(study: Path) -> list[dict[str, Any]]:
    """Read the trials that have ended."""
    return [json.loads(file.read_text()) for file in sorted((study / "trials").glob("*.json"))]


def wait_for_trials(search: Any, study: Path, count: int) -> None:
    """Wait until so many trials of a running search have ended."""
    deadline_s = time.monotonic() + 240
    while len(list((study / "trials").glob("*.json"))) < count:
        assert search.poll() is None, search.communicate()
        assert time.monotonic() < deadline_s, f"fewer than {count} trials"
        time.sleep(0.05)


def require_whole(study: Path, count: int, printed: str) -> None:
    """Check that every trial has completed once, and that the best is the best."""
    trials = trials_of(study)
    assert [trial["number"] for trial in trials] == list(range(count))
    assert {trial["status"] for trial in trials} == {"completed"}, trials
    assert len({json.dumps(trial["candidate"]) for trial in trials}) == count
    best = max(trials, key=lambda t: (t["accuracies"][0], -t["log_loss"], -t["number"]))
    told = json.loads(printed)
    assert told["best_trial"] == best["number"]
    bundle = imgclf.load(study / "bundles" / f"{best['number']:04}.imgclf")
    assert bundle.figures.accuracy == best["num_correct"] / best["num_images"]
    assert imgclf.load(study / "best.imgclf").figures.accuracy == told["accuracy"]
    assert all((study / "logs" / f"{number:04}.txt").is_file() for number in range(count))


def test_a_search_on_a_cluster_of_this_machine(searches: Searches, tmp_path: Path) -> None:
    """Three trials; only the result is printed, nobody outside reaches it, and nothing is left."""
    study = tmp_path / "study"
    search = searches.start(study, "--cluster", "local", "--max-trials", 3, "--trial-epochs", 2)
    wait_for_trials(search, study, 1)
    network = searches.nodes.network
    assert network.listeners()
    assert network.outward_listeners() == set()
    printed, told = search.communicate(timeout=200)
    assert search.returncode == 0, told
    assert "Connected to 1 node(s)" in told
    assert told.count("Trial ") == 3
    require_whole(study, 3, printed)
    assert searches.nodes.wait_gone() == []


@pytest.mark.slow
def test_a_search_survives_a_worker_and_a_node_that_are_killed(
    searches: Searches, tmp_path: Path
) -> None:
    """Twelve trials on two nodes, of which one has no images: each completes once."""
    nodes, study = searches.nodes, tmp_path / "study"
    nodes.start_head()
    empty: tuple[str, ...] = ()
    if os.geteuid() == 0:  # Nothing lies at the images' path there, and its cache is its own.
        hide = f'mount -t tmpfs none {searches.images} && exec "$@"'
        empty = ("unshare", "--mount", "sh", "-c", hide, "sh", "env",
                 f"IMGCLF_CACHE_DIR={tmp_path / 'other_cache'}")  # fmt: skip
    nodes.add_node("second", empty)
    search = searches.start(
        study, "--cluster", nodes.address, "--max-trials", 12, "--trial-epochs", 3
    )
    wait_for_trials(search, study, 3)
    assert nodes.network.outward_listeners() == set()
    running: list[int] = []
    while not running:
        running = nodes.processes("ray::run_on_node")
    nodes.kill(running[0])
    wait_for_trials(search, study, 6)
    nodes.kill_node("second")
    printed, told = search.communicate(timeout=280)
    assert search.returncode == 0, told
    require_whole(study, 12, printed)
    shipped = list((tmp_path / "other_cache").rglob("images.zip"))
    assert len(shipped) == (os.geteuid() == 0)
    nodes.kill(*nodes.processes())
    assert nodes.wait_gone() == []


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_and_resume_repeats_nothing(
    searches: Searches, tmp_path: Path
) -> None:
    """What has ended is kept; the same command with --resume runs the rest only."""
    study = tmp_path / "study"
    given = ("--cluster", "local", "--trial-epochs", 2)
    search = searches.start(study, *given, "--max-trials", 100)
    wait_for_trials(search, study, 2)
    search.send_signal(signal.SIGINT)
    _, told = search.communicate(timeout=60)
    assert search.returncode == 130, told
    assert "Traceback" not in told
    assert searches.nodes.wait_gone() == []
    before = {path: path.read_bytes() for path in (study / "trials").glob("*.json")}
    count = len(before) + 2
    search = searches.start(study, *given, "--max-trials", count, "--resume")
    printed, told = search.communicate(timeout=200)
    assert search.returncode == 0, told
    assert all(path.read_bytes() == content for path, content in before.items())
    require_whole(study, count, printed)
    assert searches.nodes.wait_gone() == []


@pytest.mark.slow
def test_a_search_whose_control_service_is_killed_ends(searches: Searches, tmp_path: Path) -> None:
    """In one line, with what has ended kept."""
    nodes, study = searches.nodes, tmp_path / "study"
    nodes.start_head()
    search = searches.start(
        study, "--cluster", nodes.address, "--max-trials", 100, "--trial-epochs", 2
    )
    wait_for_trials(search, study, 1)
    nodes.kill(*nodes.processes("gcs_server"))
    _, told = search.communicate(timeout=60)
    assert search.returncode == 1, told
    assert "has not answered for" in told
    assert "Traceback" not in told
    assert trials_of(study)
    shutil.rmtree(study)
