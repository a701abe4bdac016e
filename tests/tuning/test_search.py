"""The search loop, with a pool that answers by a script instead of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from imgclf.data.batches.augmentation import resolve_augmentation
from imgclf.data.batches.generators import Plan
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import TuningError
from imgclf.runs.resolution import resolve_settings
from imgclf.runs.settings import Settings
from imgclf.tuning.search import Search, SearchCallbacks
from imgclf.tuning.search_spec import SearchLimits, SearchSpec
from imgclf.tuning.space import make_space
from imgclf.tuning.study import Study, open_study
from imgclf.tuning.tasks import TrialTask
from imgclf.tuning.trial_settings import TrialSettings
from imgclf.tuning.trials import Trial

Events = list[dict[str, Any]]
PLAN = Plan("", None, None, InputPolicy((24, 24), 3), 16, resolve_augmentation("light"))


def success(accuracy: float) -> Events:
    """Return the events of a trial with this accuracy."""
    result = {"accuracies": [accuracy], "log_loss": 1.0, "fit_s": 1.0, "num_parameters": 5,
              "num_correct": round(100 * accuracy), "num_images": 100, "best_epoch": 0}  # fmt: skip
    return [{"epoch": 1, "val_accuracy": accuracy}, {"result": result}, {"ended": 0}]


@dataclass
class ScriptedPool:
    """A pool whose workers answer each task at once, with what `script` says."""

    script: Callable[[TrialTask], Events]
    size: int = 1
    tasks: list[tuple[int, TrialTask]] = field(default_factory=list)
    _answers: list[tuple[int, Events]] = field(default_factory=list)

    @property
    def num_idle(self) -> int:
        """Number of workers without a task."""
        return self.size - len(self._answers)

    def run(self, job: int, task: Any) -> None:
        """Take a task."""
        self.tasks.append((job, task))
        self._answers.append((job, self.script(task)))

    def events(self, timeout_s: float) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the events of the oldest task."""
        assert timeout_s > 0
        if self._answers:
            job, events = self._answers.pop(0)
            yield from ((job, event) for event in events)


@contextmanager
def opened(folder: Path, **limits: Any) -> Iterator[tuple[Study, SearchSpec]]:
    """Open a study, with the description of a random search in a space of one option."""
    space = limits.pop("space", None) or make_space("three_conv", tune=["hidden_units"])
    spec = SearchSpec(
        space,
        "random",
        TrialSettings(resolve_settings(Settings(epochs=1, learning_rate=1e-3), 100)),
        SearchLimits(**limits),
    )
    with open_study(folder / "s", {}) as study:
        yield study, spec


def search(folder: Path, pool: ScriptedPool, **limits: Any) -> tuple[Trial, ...]:
    """Run a search; return its trials."""
    with opened(folder, **limits) as (study, spec):
        Search(study, spec, PLAN, SearchCallbacks()).run(pool)
        return study.trials


def test_the_defaults_come_first_and_no_candidate_twice(tmp_path: Path) -> None:
    """Each architecture's defaults open the search; all candidates differ, up to the limit."""
    space = make_space("three_conv,resnet9", tune=["learning_rate"])
    pool = ScriptedPool(lambda _task: success(0.5), size=2)
    trials = search(tmp_path, pool, space=space, max_trials=7)
    assert [trial.number for trial in trials] == list(range(7))
    assert [trial.candidate.architecture for trial in trials[:2]] == ["three_conv", "resnet9"]
    assert [trial.candidate.training["learning_rate"] for trial in trials[:2]] == [1e-3, 1e-3]
    assert len({trial.candidate.key for trial in trials}) == 7
    assert all(task.bundle.endswith(f"{job:04}.imgclf") for job, task in pool.tasks)


def test_a_trial_knows_from_which_accuracy_on_it_is_kept(tmp_path: Path) -> None:
    """The defaults are always saved; of the others those that may be among the best ones."""
    accuracies = [0.5, 0.9, 0.7, 0.2, 0.8]
    pool = ScriptedPool(lambda task: success(accuracies[int(Path(task.bundle).stem)]))
    search(tmp_path, pool, max_trials=5, keep=2)
    assert [task.save_from for _, task in pool.tasks] == [0.0, 0.0, 0.5, 0.7, 0.7]


def test_callbacks_hear_each_trial_from_its_begin_to_its_end(tmp_path: Path) -> None:
    """Begin, epochs and end come in this order, with the trial's number and all trials so far."""
    heard: list[Any] = []
    callbacks = SearchCallbacks(
        on_trial_begin=lambda number, _candidate: heard.append(("begin", number)),
        on_epoch_end=lambda number, epoch, accuracy: heard.append((number, epoch, accuracy)),
        on_trial_end=lambda trial, trials: heard.append(("end", trial.number, len(trials))),
        on_poll=lambda: heard.append("poll"),
    )
    with opened(tmp_path, max_trials=2) as (study, spec):
        Search(study, spec, PLAN, callbacks).run(ScriptedPool(lambda _task: success(0.5)))
    assert [item for item in heard if item != "poll"] == [
        ("begin", 0), (0, 1, 0.5), ("end", 0, 1), ("begin", 1), (1, 1, 0.5), ("end", 1, 2)
    ]  # fmt: skip
    assert "poll" in heard


def test_a_space_that_is_exhausted_ends_the_search(tmp_path: Path) -> None:
    """Two values beside the defaults make three trials, whatever the limit."""
    space = make_space("three_conv", tune=[], space={"hidden_units": [8, 16]})
    trials = search(tmp_path, ScriptedPool(lambda _task: success(0.5)), space=space)
    assert len(trials) == 3


def test_a_lost_trial_is_run_again_until_it_has_cost_three_workers(tmp_path: Path) -> None:
    """A trial whose worker is gone comes back; one that kills each worker counts as failed."""
    losses = {0: 2, 1: 99}

    def script(task: TrialTask) -> Events:
        number = int(Path(task.bundle).stem)
        losses[number] = losses.get(number, 0) - 1
        return [{"lost": True}] if losses[number] >= 0 else success(0.5)

    pool = ScriptedPool(script)
    trials = search(tmp_path, pool, max_trials=3)
    assert [job for job, _ in pool.tasks] == [0, 0, 0, 1, 1, 1, 2]
    assert [trial.status for trial in trials] == ["completed", "failed", "completed"]
    assert "3 workers died with it" in trials[1].reason


def test_the_last_trials_are_run_again_too(tmp_path: Path) -> None:
    """A trial that is lost when no new one may begin is not forgotten."""
    losses = {0: 1, 1: 2}

    def script(task: TrialTask) -> Events:
        number = int(Path(task.bundle).stem)
        losses[number] -= 1
        return [{"lost": True}] if losses[number] >= 0 else success(0.5)

    trials = search(tmp_path, ScriptedPool(script, size=3), max_trials=2)
    assert [trial.status for trial in trials] == ["completed", "completed"]


def test_the_same_error_three_times_stops_the_search(tmp_path: Path) -> None:
    """Trials that fail alike end the search with their error; other errors do not; all are kept."""
    errors = iter(["disk", "nan", "disk", "nan", "nan", "nan", "nan"])
    pool = ScriptedPool(
        lambda _task: [{"error": "TrainingError", "message": next(errors)}, {"ended": 1}]
    )
    with (
        opened(tmp_path, max_trials=9) as (study, spec),
        pytest.raises(TuningError, match=r"3 trials in a row.*TrainingError: nan.*--resume"),
    ):
        Search(study, spec, PLAN, SearchCallbacks()).run(pool)
    assert len(study.trials) == len(list((tmp_path / "s" / "trials").iterdir())) == 6


def test_networks_that_are_too_large_do_not_count(tmp_path: Path) -> None:
    """Refused trials are recorded, and others take their places."""

    def script(task: TrialTask) -> Events:
        large = int(task.candidate.options["hidden_units"]) > 1000
        return [{"refused": "too many parameters"}, {"ended": 0}] if large else success(0.5)

    trials = search(tmp_path, ScriptedPool(script), max_trials=6)
    statuses = [trial.status for trial in trials]
    assert statuses.count("completed") == 6
    assert "refused" in statuses


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([*success(0.9)[:2], {"ended": -9}], "ended by SIGKILL, as when memory runs out"),
        ([{"ended": -6}], "ended by SIGABRT"),
        ([{"ended": 3}], "status 3 and without a result"),
        ([{"error": "ValueError", "message": "one\ntwo"}, {"ended": 1}], "ValueError: one"),
    ],
)
def test_only_a_result_with_a_clean_end_counts(events: Events, reason: str, tmp_path: Path) -> None:
    """A trial whose process was killed has failed, even after its result; it has one reason."""
    (trial,) = search(tmp_path, ScriptedPool(lambda _task: events), max_trials=1)
    assert trial.status == "failed"
    assert trial.score == 0
    assert trial.reason.endswith(reason)


def test_no_trial_starts_after_the_budget(tmp_path: Path) -> None:
    """A budget that is used up starts nothing; a long one starts all trials."""
    pool = ScriptedPool(lambda _task: success(0.5))
    assert search(tmp_path, pool, budget_s=1e-9, max_trials=3) == ()
    assert len(search(tmp_path / "other", pool, budget_s=1e6, max_trials=3)) == 3


def test_a_search_goes_on_after_the_trials_of_an_earlier_one(tmp_path: Path) -> None:
    """The trials of the study are not run again, and count towards the limit."""
    space = make_space("three_conv", tune=["hidden_units"])
    first = ScriptedPool(lambda _task: success(0.5))
    before = search(tmp_path, first, space=space, max_trials=3)
    pool = ScriptedPool(lambda _task: success(0.5))
    spec = SearchSpec(
        space, "random", TrialSettings(resolve_settings(Settings(epochs=1), 100)), SearchLimits(5)
    )
    with open_study(tmp_path / "s", {}, resume=True) as study:
        Search(study, spec, PLAN, SearchCallbacks()).run(pool)
    assert [job for job, _ in pool.tasks] == [3, 4]
    assert study.trials[:3] == before
    assert len({trial.candidate.key for trial in study.trials}) == 5
