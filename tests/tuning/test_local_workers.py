"""Local workers: server processes that run trials."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import imgclf
from imgclf.tuning import local_workers
from imgclf.tuning.candidates import default_candidate
from imgclf.tuning.local_workers import LocalWorkers
from imgclf.tuning.tasks import RefitTask, TrialTask
from pool_events import wait_for_events


def test_a_trial_is_told_event_by_event(trial_server: LocalWorkers, task: TrialTask) -> None:
    """Each epoch, one result, the end; the classifier's file has the result's accuracy."""
    trial_server.run(7, task)
    events = wait_for_events(trial_server, lambda found: found and "ended" in found[-1][1])
    assert {job for job, _ in events} == {7}
    assert [event["epoch"] for _, event in events if "epoch" in event] == [1, 2]
    assert events[-1] == (7, {"ended": 0})
    result = events[-2][1]["result"]
    assert result["accuracies"] == [result["num_correct"] / result["num_images"]]
    assert imgclf.load(task.bundle).figures.accuracy == result["accuracies"][0]
    assert trial_server.num_idle == 1


def test_what_would_not_be_kept_is_not_saved(trial_server: LocalWorkers, task: TrialTask) -> None:
    """A trial below the accuracy of those that are kept has its result, and writes no file."""
    trial_server.run(1, replace(task, save_from=1.1))
    events = wait_for_events(trial_server, lambda found: found and "ended" in found[-1][1])
    assert events[-2][1]["result"]["num_images"] > 0
    assert events[-1] == (1, {"ended": 0})
    assert not Path(task.bundle).exists()


@pytest.fixture
def heads(task: TrialTask) -> list[TrialTask]:
    """Return two trials of heads on one pretrained network, each with another penalty."""
    training = replace(task.settings.training, two_phase=True, fine_tune_epochs=0)
    settings = replace(task.settings, training=training)
    candidate = default_candidate("efficientnet_lite", task.plan, settings)
    return [
        replace(
            task,
            settings=settings,
            candidate=replace(
                candidate,
                training={**candidate.training, "image_size": [32, 32], "head_penalty": penalty},
            ),
        )
        for penalty in (0.1, 100.0)
    ]


def children_of(pool: LocalWorkers) -> list[int]:
    """Return the processes that the server has started."""
    [server] = [worker.process.pid for worker in pool._workers]
    return [int(pid) for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split()]


def results_of(pool: LocalWorkers, *tasks: TrialTask) -> tuple[list[Any], list[list[int]]]:
    """Run tasks one after the other; returns their results and who was there after each."""
    results, children = [], []
    for number, one in enumerate(tasks):
        pool.run(number, one)
        events = wait_for_events(pool, lambda found: found and "ended" in found[-1][1])
        results.append(next((event["result"] for _, event in events if "result" in event), None))
        children.append(children_of(pool))
    return results, children


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="processes are listed in /proc")
def test_heads_of_one_network_share_a_process(
    plugin: str, heads: list[TrialTask], task: TrialTask, tmp_path: Path, monkeypatch: Any
) -> None:
    """Trials that fit a head alone run in one process, with the results of a process of their own.

    A trial that fails ends that process, and so does one of another kind. Processes that are ended
    leave nothing in the temporary folder.
    """
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    first, second = heads
    failing = replace(first, log="/nowhere/log.txt")
    with LocalWorkers(1) as pool:
        results, children = results_of(pool, first, second, failing, second, task)
    assert children[0] == children[1] != []
    assert children[2] == children[4] == []
    assert children[3] not in (children[0], [])
    assert results[2] is None
    for name in ("accuracies", "log_loss", "num_correct", "num_parameters"):
        assert results[1][name] == results[3][name]
    assert results[0]["log_loss"] != results[1]["log_loss"]
    assert list(temporary.iterdir()) == []


def test_what_trains_more_than_a_head_has_a_process_of_its_own(
    heads: list[TrialTask], task: TrialTask
) -> None:
    """Fine-tuning, other data sets and other networks share none; equal networks share one."""
    first, second = heads
    assert first.shared_process == second.shared_process != ""
    assert task.shared_process == ""
    assert replace(first, plan=SimpleNamespace()).shared_process == ""
    training = replace(first.settings.training, fine_tune_epochs=1)
    settings = replace(first.settings, training=training)
    assert replace(first, settings=settings).shared_process == ""
    options = {**first.candidate.options, "pooling": "max"}
    candidate = replace(first.candidate, options=options)
    assert replace(first, candidate=candidate).shared_process not in (first.shared_process, "")


def test_a_refit_runs_by_its_kind(
    trial_server: LocalWorkers, task: TrialTask, batches: Any
) -> None:
    """A refit without test images says so."""
    refit = RefitTask(batches[0].plan, task.candidate, task.settings, "", task.log, 3)
    trial_server.run(2, refit)
    events = wait_for_events(trial_server, lambda found: found and "ended" in found[-1][1])
    assert events[0][1]["error"] == "ArgumentError"
    assert "without test images" in events[0][1]["message"]
    assert events[-1] == (2, {"ended": 1})


def test_a_worker_that_is_killed_gives_its_trial_back(
    batches: Any, plugin: str, forked_servers: None, tmp_path: Path, monkeypatch: Any
) -> None:
    """Of two workers one is killed in mid-trial: the search completes with all trials."""
    killed = []
    run = local_workers.LocalWorkers.run

    def kill_soon(self: Any, job: int, task: Any) -> None:
        run(self, job, task)
        if job == 1 and not killed:
            worker = next(item for item in self._workers if item.job == 1)
            killed.append(worker.process.pid)
            threading.Timer(0.05, os.kill, (worker.process.pid, signal.SIGKILL)).start()

    monkeypatch.setattr(local_workers.LocalWorkers, "run", kill_soon)
    result = imgclf.tune(
        plugin, *batches, max_trials=3, trial_epochs=2, workers=2, study_dir=tmp_path / "s"
    )
    assert killed
    assert [trial.number for trial in result.trials] == [0, 1, 2]
    assert all(trial.status == "completed" for trial in result.trials)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_does_not_grow(batches: Any, plugin: str, tmp_path: Path) -> None:
    """After 30 trials search and server take at most 10 % more memory than after 5."""
    sizes: list[int] = []
    run = local_workers.LocalWorkers.run

    def measure(self: Any, job: int, task: Any) -> None:
        pids = [os.getpid(), *(worker.process.pid for worker in self._workers)]
        status = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
        lines = [next(ln for ln in text.splitlines() if ln.startswith("VmRSS")) for text in status]
        sizes.append(sum(int(line.split()[1]) for line in lines))
        run(self, job, task)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_workers.LocalWorkers, "run", measure)
        imgclf.tune(plugin, *batches, max_trials=31, trial_epochs=1, study_dir=tmp_path / "s")
    assert sizes[30] <= 1.1 * sizes[5], sizes
