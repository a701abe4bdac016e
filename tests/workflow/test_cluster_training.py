"""Trainings on real Ray clusters of two nodes, in a network that has nothing but loopback."""

from __future__ import annotations

import csv
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
from ray_nodes import RayNodes, ending

pytestmark = pytest.mark.slow

EPOCHS = 16
TRAINING = ("--arch", "resnet9", "--set", "filters=8", "--image-size", "24", "--batch-size", "16",
            "--optimizer", "sgd", "--learning-rate", "0.01", "--augment", "none")  # fmt: skip
WAIT_S = 300


@pytest.fixture
def nodes(loopback_network: Any) -> Iterator[RayNodes]:
    """Return a cluster of two nodes with a processor each."""
    cluster = RayNodes(loopback_network)
    try:
        cluster.start_head()
        cluster.add_node("second")
        yield cluster
    finally:
        cluster.close()


def start(
    nodes: RayNodes, images: Path, run_dir: Path, *more: str, epochs: int = EPOCHS
) -> subprocess.Popen[str]:
    """Start `imgclf train` with two workers."""
    arguments = ["train", str(images), *TRAINING, "--epochs", str(epochs), "--run-dir", run_dir,
                 "--cluster", nodes.address, "--train-workers", "2", *more]  # fmt: skip
    return subprocess.Popen(
        [*nodes.network.enter, sys.executable, "-c", COMMAND, *map(str, arguments)],
        env=nodes.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def resume_here(run_dir: Path) -> subprocess.Popen[str]:
    """Go on with a run on this machine, without a cluster."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "train", "--resume", str(run_dir)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_epoch(training: subprocess.Popen[str], run_dir: Path, epoch: int) -> None:
    """Wait until the driver has a checkpoint of an epoch."""
    deadline_s = time.monotonic() + WAIT_S
    while newest_epoch(run_dir) < epoch:
        assert training.poll() is None, training.communicate()
        assert time.monotonic() < deadline_s, epoch
        time.sleep(0.1)


def newest_epoch(run_dir: Path) -> int:
    """Return the epoch of the newest checkpoint; -1 where there is none."""
    names = sorted(path.name for path in run_dir.glob("checkpoints/*.safetensors"))
    return int(names[-1].split("-")[1]) if names else -1


def history_of(run_dir: Path) -> list[dict[str, str]]:
    """Read the figures of each epoch."""
    with (run_dir / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_killed_worker_is_replaced(nodes: RayNodes, two_classes: Path, tmp_path: Path) -> None:
    """A worker that dies by SIGKILL costs time alone: every epoch is there, once."""
    with ending(start(nodes, two_classes, tmp_path / "run")) as training:
        wait_for_epoch(training, tmp_path / "run", 2)
        workers = nodes.processes("ray::TrainingWorker")
        assert len(workers) == 2
        nodes.kill(workers[1])
        printed, told = training.communicate(timeout=WAIT_S)
    assert training.returncode == 0, told
    assert "A worker was lost" in told
    assert len(history_of(tmp_path / "run")) == EPOCHS
    assert "The classifier is" in printed
    classifier = imgclf.load(tmp_path / "run" / "model.imgclf")
    assert classifier.figures is not None
    assert classifier.figures.accuracy > 0.9
    assert nodes.processes("ray::TrainingWorker") == []


def test_a_lost_node_leaves_fewer_workers(
    nodes: RayNodes, two_classes: Path, tmp_path: Path
) -> None:
    """A machine that dies with its worker costs time alone: the others do every epoch."""
    run_dir = tmp_path / "run"
    with ending(start(nodes, two_classes, run_dir, epochs=60)) as training:
        wait_for_epoch(training, run_dir, 2)
        nodes.kill_node("second")
        killed_s = time.monotonic()
        wait_for_lines(training, "A worker was lost", "room for 1 of 2 workers")
        assert time.monotonic() - killed_s < 60
        printed, told = training.communicate(timeout=WAIT_S)
    assert training.returncode == 0, told
    assert len(history_of(run_dir)) == 60
    assert "The classifier is" in printed
    assert imgclf.load(run_dir / "model.imgclf").class_names == ("dark", "light")
    assert nodes.processes("ray::TrainingWorker") == []


def wait_for_lines(training: subprocess.Popen[str], *texts: str) -> None:
    """Read what a training tells until all of these have come, in this order."""
    assert training.stderr is not None
    wanted = list(texts)
    for line in training.stderr:
        if wanted[0] in line:
            del wanted[0]
        if not wanted:
            return
    raise AssertionError((wanted, training.communicate()))


def test_a_dead_control_service_ends_in_one_line(
    nodes: RayNodes, two_classes: Path, tmp_path: Path
) -> None:
    """The training ends within a minute, says how to go on, and goes on without a cluster."""
    run_dir = tmp_path / "run"
    with ending(start(nodes, two_classes, run_dir, epochs=100_000)) as training:
        wait_for_epoch(training, run_dir, 2)
        nodes.kill(*nodes.processes("gcs_server"))
        _, told = training.communicate(timeout=60)
    assert training.returncode == 1, told
    assert "has not answered for" in told
    assert f"imgclf train --resume {run_dir}" in told
    assert "Traceback" not in told
    done = newest_epoch(run_dir)
    assert done >= 2
    with ending(resume_here(run_dir)) as resumed:
        wait_for_epoch(resumed, run_dir, done + 1)
        resumed.send_signal(signal.SIGINT)
        _, told = resumed.communicate(timeout=60)
    assert resumed.returncode == 130, told
    assert imgclf.load(run_dir / "model.imgclf").class_names == ("dark", "light")


def test_interrupted_keeps_the_best_and_goes_on_here(
    nodes: RayNodes, two_classes: Path, tmp_path: Path
) -> None:
    """Ctrl-C keeps the best classifier and ends all workers; the run goes on without a cluster."""
    run_dir = tmp_path / "run"
    with ending(start(nodes, two_classes, run_dir)) as training:
        wait_for_epoch(training, run_dir, 2)
        training.send_signal(signal.SIGINT)
        _, told = training.communicate(timeout=60)
    assert training.returncode == 130, told
    assert imgclf.load(run_dir / "model.imgclf").class_names == ("dark", "light")
    assert nodes.processes("ray::TrainingWorker") == []
    done = len(history_of(run_dir))
    assert 2 <= done < EPOCHS
    with ending(resume_here(run_dir)) as resumed:
        _, told = resumed.communicate(timeout=WAIT_S)
    assert resumed.returncode == 0, told
    assert len(history_of(run_dir)) == EPOCHS


def test_too_many_workers_are_refused_in_time(
    nodes: RayNodes, two_classes: Path, tmp_path: Path
) -> None:
    """Where the cluster has no room for the workers, one line says so by a deadline."""
    with ending(start(nodes, two_classes, tmp_path / "run", "--train-workers", "5")) as training:
        _, told = training.communicate(timeout=180)
    assert training.returncode == 1, told
    assert "no room for 5 workers" in told
