"""A search as a whole: real processes, real failures, real kills."""

from __future__ import annotations

import csv
import json
import random
import signal
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import imgclf
from conftest import COMMAND
from forked_python import ForkedPython
from imgclf.errors import ArgumentError, StudyError
from imgclf.tuning import local_workers, pool


@pytest.fixture(scope="module")
def faulty(
    batches: Any, plugin: str, trial_server: Any, tmp_path_factory: Any
) -> imgclf.TuningResult:
    """Return a search in which four of six trials fail, each in its own way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "LocalWorkers", lambda _count: nullcontext(trial_server))
        return imgclf.tune(
            plugin, *batches, max_trials=6, trial_epochs=2, strategy="grid", tune=[],
            space={"fault": ["none", "raise", "memory", "nan", "abort"], "width": [3]},
            study_dir=tmp_path_factory.mktemp("faulty") / "study", learning_rate=0.05,
        )  # fmt: skip


def test_a_trial_that_fails_fails_alone(faulty: imgclf.TuningResult) -> None:
    """One trial raises, one runs out of memory, one gives NaN, one aborts: the others complete."""
    reasons = {trial.candidate.options["fault"]: trial.reason for trial in faulty.trials[1:]}
    assert [trial.status for trial in faulty.trials] == ["completed"] * 2 + ["failed"] * 4
    assert reasons["none"] == ""
    assert "RuntimeError" in reasons["raise"] or "does not please me" in reasons["raise"]
    assert "Unable to allocate" in reasons["memory"]
    assert "nan" in reasons["nan"]
    assert "SIGABRT" in reasons["abort"]
    assert faulty.best.candidate.options["fault"] == "none"
    log = (faulty.study_dir / "logs" / "0002.txt").read_text()
    assert "does not please me" in log


def test_the_first_trial_is_the_defaults(faulty: imgclf.TuningResult) -> None:
    """Trial 0 is what the architecture gives without a search, also outside the searched values."""
    assert faulty.trials[0].candidate.options == {"width": 4, "fault": "none", "bias": True}
    assert faulty.gain is not None
    assert faulty.gain.low <= faulty.gain.difference <= faulty.gain.high


def test_the_best_trial_is_a_bundle_with_its_own_weights(
    faulty: imgclf.TuningResult, batches: Any
) -> None:
    """The bundle gives exactly the accuracy that the table names, not that of a cousin."""
    classifier = imgclf.load(faulty.bundle)
    accuracy = imgclf.evaluate(classifier, batches[1]).accuracy
    assert accuracy == faulty.table[0]["bundle_accuracy"] == faulty.best.bundle_accuracy
    assert faulty.evaluation.accuracy == accuracy
    assert faulty.split == "val"  # make_generators cuts no test images


def test_the_study_tells_everything(faulty: imgclf.TuningResult) -> None:
    """trials.csv ranks all trials with their reasons; best.json repeats the best."""
    with (faulty.study_dir / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert rows[0]["status"] == "completed"
    assert "SIGABRT" in {row["trial"]: row["reason"] for row in rows}["5"]
    best = json.loads((faulty.study_dir / "best.json").read_text())
    assert best["settings"] == json.loads(json.dumps(faulty.settings))
    assert best["trial"] == faulty.best.number


def test_resume_goes_on_and_repeats_nothing(
    batches: Any, plugin: str, one_server: None, tmp_path: Path, monkeypatch: Any
) -> None:
    """A study goes on from its trials; without --resume it is an error; a broken file is redone."""
    arguments: dict[str, Any] = {"trial_epochs": 1, "study_dir": tmp_path / "s"}
    imgclf.tune(plugin, *batches, max_trials=2, **arguments)
    with pytest.raises(StudyError, match="--resume"):
        imgclf.tune(plugin, *batches, max_trials=2, **arguments)
    first = (tmp_path / "s" / "trials" / "0000.json").read_text()
    second = json.loads((tmp_path / "s" / "trials" / "0001.json").read_text())
    (tmp_path / "s" / "trials" / "0001.json").write_text("{")

    begun = []
    run = local_workers.LocalWorkers.run
    monkeypatch.setattr(
        local_workers.LocalWorkers, "run",
        lambda self, job, task: (begun.append(job), run(self, job, task))[1],
    )  # fmt: skip
    result = imgclf.tune(plugin, *batches, max_trials=3, resume=True, **arguments)
    assert begun == [1, 2]
    assert (tmp_path / "s" / "trials" / "0000.json").read_text() == first
    assert dict(result.trials[1].candidate.options) == second["candidate"]["options"]
    assert [trial.number for trial in result.trials] == [0, 1, 2]
    assert len({trial.candidate.key for trial in result.trials}) == 3


def test_options_batch_and_image_size_reach_the_trial(
    batches: Any, plugin: str, one_server: None, tmp_path: Path
) -> None:
    """Every dimension is what the bundle says it is; large networks are refused, not trained."""
    result = imgclf.tune(
        f"{plugin},other", *batches, max_trials=3, trial_epochs=1, study_dir=tmp_path / "s",
        executions=2, max_parameters=60, seed=1,
        space={"image_size": [16, 20], "batch_size": [8], "augment": ["classic"],
               "width": [2, 50], "optimizer": ["rmsprop"]},
    )  # fmt: skip
    assert {trial.candidate.architecture for trial in result.trials} == {"shaky", "other"}
    assert len(result.trials) > 2, "nothing beside the defaults was tried"
    for trial in result.trials:  # Options of two plugins, each tried only where it applies.
        own = {"shaky": {"width", "fault", "bias"}, "other": {"depth"}}
        assert set(trial.candidate.options) == own[trial.candidate.architecture]
    for trial in result.trials:
        wide = trial.candidate.options.get("width") == 50
        assert trial.status == ("refused" if wide else "completed")
        if not wide:
            assert len(trial.accuracies) == 2
            assert trial.deviation is not None
            assert max(trial.accuracies) == trial.bundle_accuracy
    assert sum(trial.status == "completed" for trial in result.trials) == 3
    searched = [trial for trial in result.trials[2:] if trial.status == "completed"]
    kept = {path.stem for path in (tmp_path / "s" / "bundles").iterdir()}
    for trial in searched:
        if f"{trial.number:04}" in kept:
            policy = imgclf.load(tmp_path / "s" / "bundles" / f"{trial.number:04}.imgclf").policy
            assert list(policy.image_size) == trial.candidate.training["image_size"]
            assert policy.image_size in ((16, 16), (20, 20))
        assert trial.candidate.training["batch_size"] == 8


def test_wrong_arguments_are_refused_at_once(batches: Any, plugin: str, tmp_path: Path) -> None:
    """Other objects, batches of two calls, unknown settings and impossible counts are named."""
    train, val = batches
    for arguments, message in (
        (([1, 2], val), "train is list: give what"),
        (
            (train, imgclf.make_generators(train.plan.train_dir, image_size=(24, 24))[1]),
            "two calls",
        ),
    ):
        with pytest.raises(ArgumentError, match=message):
            imgclf.tune(plugin, *arguments, study_dir=tmp_path)
    for settings, message in (
        ({"magic": 1}, "no setting 'magic'"),
        ({"epochs": 3}, "give trial_epochs"),
        ({"image_size": 24}, "belongs to make_generators"),
        ({"trial_epochs": 0}, "trial_epochs=0"),
        ({"max_trials": 0}, "max_trials=0"),
        ({"workers": 0}, "workers=0"),
        ({"budget": 0}, "budget=0"),
        ({"optimizer": "magic"}, "optimizer='magic'"),
        ({"strategy": "magic"}, "strategy='magic'"),
    ):
        with pytest.raises(ArgumentError, match=message):
            imgclf.tune(plugin, train, val, study_dir=tmp_path, **settings)


def kill_and_resume(
    python: ForkedPython,
    folder: Path,
    study_dir: Path,
    env: dict[str, str],
    kills: int,
    trials: int,
) -> list[dict[str, Any]]:
    """Kill a search at random moments, resuming each time, then let it end; returns its trials."""
    rng = random.Random(0)
    command = [
        COMMAND, "tune", str(folder),
        "--arch", "shaky", "--image-size", "24", "--batch-size", "16", "--trial-epochs", "3",
        "--max-trials", str(trials), "--study-dir", str(study_dir),
    ]  # fmt: skip
    finished: dict[str, str] = {}
    for attempt in range(kills + 1):
        resumed = ["--resume"] if (study_dir / "study.json").exists() else []
        process = python.start(*command, *resumed, env=env)
        if attempt < kills:
            for line in process.stderr:
                if line.startswith("The study is in"):
                    break
            time.sleep(rng.uniform(0, 3))
            process.send_signal(signal.SIGKILL)
        errors = process.communicate(timeout=300)[1]
        if attempt == kills:
            assert process.returncode == 0, errors
        for path in (study_dir / "trials").glob("*.json"):
            content = path.read_text()
            assert finished.setdefault(path.name, content) == content  # never repeated
    return [json.loads(content) for _, content in sorted(finished.items())]


def test_a_killed_search_goes_on(
    two_classes: Path, tmp_path: Path, command_env: dict[str, str], forked_python: ForkedPython
) -> None:
    """SIGKILL at a random moment: the number is right and no finished trial is repeated."""
    trials = kill_and_resume(
        forked_python, two_classes, tmp_path / "s", command_env, kills=1, trials=2
    )
    assert [trial["number"] for trial in trials] == [0, 1]
    assert all(trial["status"] == "completed" for trial in trials)
    best = json.loads((tmp_path / "s" / "best.json").read_text())
    assert best["val_accuracy"] == max(trial["num_correct"] / 22 for trial in trials)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fifty_kills(
    two_classes: Path, tmp_path: Path, command_env: dict[str, str], forked_python: ForkedPython
) -> None:
    """50 kills, 50 resumes: all trials, none repeated, the best from a completed one."""
    trials = kill_and_resume(
        forked_python, two_classes, tmp_path / "s", command_env, kills=50, trials=60
    )
    assert [trial["number"] for trial in trials] == list(range(60))
    assert all(trial["status"] == "completed" for trial in trials)
