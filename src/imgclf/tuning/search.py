"""The search itself: ask, run, record, tell, until a limit is reached."""

from __future__ import annotations

import signal
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from imgclf.errors import TuningError
from imgclf.tuning.candidates import (
    Candidate,
    default_candidate,
    make_candidate,
    searched_values,
)
from imgclf.tuning.pool import WorkerPool
from imgclf.tuning.proposals import Proposal, Proposer, Strategy
from imgclf.tuning.search_spec import SearchLimits
from imgclf.tuning.space import Space
from imgclf.tuning.study import Study
from imgclf.tuning.tasks import TrialTask
from imgclf.tuning.trial_settings import TrialSettings
from imgclf.tuning.trials import Trial, completed

if TYPE_CHECKING:
    from imgclf.data.batches.plan import Plan
    from imgclf.tuning.datasets import DatasetPlan

__all__ = ["Search", "Watcher"]

SAME_ERRORS = 3
"""So many trials in a row that fail in the same way end the search: the next would, too."""

POLL_S = 0.25
"""How often the display is moved while nothing happens."""

MAX_LOST = 3
"""Workers that a trial may take with it before it counts as failed."""

MAX_REPEATS = 50
"""Proposals in a row of what was tried already, after which the space counts as exhausted."""

MAX_REFUSED = 10
"""Networks that may be too large, for each trial, before the search gives up."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told how a search goes on; each does nothing by default.

    Attributes:
        began: Called with the number and candidate of a trial that begins.
        epoch: Called with the number, the epoch (from 1, over all executions), and the validation
            accuracy in training precision.
        ended: Called with each trial that has ended and with all trials.
        waiting: Called a few times a second.
    """

    began: Callable[[int, Candidate], None] = lambda _number, _candidate: None
    epoch: Callable[[int, int, float], None] = lambda _number, _epoch, _accuracy: None
    ended: Callable[[Trial, tuple[Trial, ...]], None] = lambda _trial, _trials: None
    waiting: Callable[[], None] = lambda: None


@dataclass(slots=True)
class _Running:
    """A trial under way."""

    candidate: Candidate
    proposal: Proposal | None
    began_s: float
    answer: dict[str, Any] = field(default_factory=dict)
    times_lost: int = 0


@dataclass(slots=True)
class Search:
    """One search over a study.

    Attributes:
        study: What is known; every trial that ends is recorded there at once.
        space: What is searched.
        strategy: How.
        plan: The images.
        settings: What all trials share.
        limits: When the search ends.
        watcher: Who is told.
    """

    study: Study
    space: Space
    strategy: Strategy
    plan: Plan | DatasetPlan
    settings: TrialSettings
    limits: SearchLimits
    watcher: Watcher
    _proposer: Proposer | None = None
    _running: dict[int, _Running] = field(default_factory=dict)
    _again: deque[tuple[int, _Running]] = field(default_factory=deque)
    _twins: dict[str, list[Proposal]] = field(default_factory=dict)
    _errors: list[str] = field(default_factory=list)
    _began_s: float = field(default_factory=time.monotonic)

    def run(self, workers: WorkerPool) -> None:
        """Run trials until a limit is reached or the space is exhausted.

        Args:
            workers: The processes that run them.

        Raises:
            TuningError: Three trials in a row fail in the same way; what has ended is kept.
        """
        exhausted = False
        while not exhausted or self._running:
            while not exhausted and workers.num_idle:
                found = self._next()
                if found == "wait":
                    break
                if found == "end":
                    exhausted = True
                    break
                self._begin(workers, *found)
            for number, event in workers.events(POLL_S):
                self._handle(number, event)
            self.watcher.waiting()

    def _next(self) -> tuple[int, _Running] | Literal["wait", "end"]:
        """Choose the next trial: one that was lost, the defaults, then what the oracle proposes."""
        if self._again:
            return self._again.popleft()
        if not self._may_begin():
            return "end"
        known = self._known()
        for architecture in self.space.architectures:
            candidate = default_candidate(architecture, self.plan, self.settings)
            if candidate.key not in known:
                return self._numbered(candidate, None)
        return self._propose(known)

    def _propose(
        self, known: Mapping[str, Trial | None]
    ) -> tuple[int, _Running] | Literal["wait", "end"]:
        """Ask the oracle until it names something new; what is known it is told at once."""
        proposer = self._proposer or self._make_proposer()
        for _ in range(MAX_REPEATS + len(known)):
            proposal = proposer.ask()
            if isinstance(proposal, str):
                return proposal if self._running else "end"
            candidate = make_candidate(
                self.space, proposal.values, self.plan, self.settings, proposal.epochs
            )
            if candidate.key not in known:
                return self._numbered(candidate, proposal)
            twin = known[candidate.key]
            if twin is None:
                self._twins.setdefault(candidate.key, []).append(proposal)
            else:
                proposer.tell(proposal, twin.score)
        return "wait" if self._running else "end"

    def _known(self) -> dict[str, Trial | None]:
        """Return every trial by what it tried; None for one that is still running."""
        running = {item.candidate.key: None for item in self._running.values()}
        return {**running, **{trial.candidate.key: trial for trial in self.study.trials}}

    def _make_proposer(self) -> Proposer:
        past = [searched_values(trial.candidate, self.space) for trial in self.study.trials]
        self._proposer = Proposer(
            self.space,
            self.strategy,
            self.settings.training.epochs,
            self.settings.training.seed,
            [values for values in past if values is not None],
        )
        return self._proposer

    def _may_begin(self) -> bool:
        """Tell whether trials and time are left for another trial."""
        trials = self.study.trials
        refused = sum(trial.status == "refused" for trial in trials)
        count = len(trials) - refused + len(self._running)
        if count >= self.limits.max_trials or refused > MAX_REFUSED * self.limits.max_trials:
            return False
        if self.limits.budget_s is None:
            return True
        durations = [trial.duration_s for trial in completed(trials)]
        expected_s = statistics.median(durations) if durations else 0.0
        return time.monotonic() - self._began_s + expected_s <= self.limits.budget_s

    def _numbered(self, candidate: Candidate, proposal: Proposal | None) -> tuple[int, _Running]:
        number = self.study.next_number(list(self._running))
        return number, _Running(candidate, proposal, time.monotonic())

    def _begin(self, workers: WorkerPool, number: int, running: _Running) -> None:
        self._running[number] = running
        running.began_s, running.answer = time.monotonic(), {}
        task = TrialTask(
            self.plan,
            running.candidate,
            self.settings,
            str(self.study.bundle(number)),
            str(self.study.log(number)),
        )
        workers.run(number, task)
        self.watcher.began(number, running.candidate)

    def _handle(self, number: int, event: dict[str, Any]) -> None:
        running = self._running[number]
        if "epoch" in event:
            self.watcher.epoch(number, event["epoch"], event["val_accuracy"])
        elif "lost" in event:
            self._give_back(number, running)
        elif "ended" in event:
            self._end(number, running, event["ended"])
        else:
            running.answer = event

    def _give_back(self, number: int, running: _Running) -> None:
        """Put a trial back whose process was lost; one that kills each worker has failed."""
        running.times_lost += 1
        if running.times_lost < MAX_LOST:
            self._again.append((number, self._running.pop(number)))
            return
        running.answer = {"error": "TuningError", "message": f"{MAX_LOST} workers died with it"}
        self._end(number, running, 1)

    def _end(self, number: int, running: _Running, status: int) -> None:
        """Record a trial, tell the oracle, and look whether it failed like the ones before."""
        duration_s = time.monotonic() - running.began_s
        trial = _make_trial(number, running.candidate, running.answer, status, duration_s)
        self.study.record(trial)
        del self._running[number]
        self.study.keep_best(self.limits.keep, range(len(self.space.architectures)))
        if running.proposal is not None:
            self._tell(running.proposal, trial)
        for proposal in self._twins.pop(running.candidate.key, []):
            self._tell(proposal, trial)
        self.watcher.ended(trial, self.study.trials)
        self._stop_at_same_errors(trial)

    def _tell(self, proposal: Proposal, trial: Trial) -> None:
        assert self._proposer is not None
        self._proposer.tell(proposal, trial.score)

    def _stop_at_same_errors(self, trial: Trial) -> None:
        self._errors = [*self._errors, trial.reason] if trial.status == "failed" else []
        last = self._errors[-SAME_ERRORS:]
        if len(last) == SAME_ERRORS and len(set(last)) == 1:
            raise TuningError(
                f"{SAME_ERRORS} trials in a row failed in the same way: {trial.reason} "
                f"(all of it in {self.study.log(trial.number)}). Repair that, then go on with "
                "--resume (resume=True); what has ended is kept."
            )


def _make_trial(
    number: int, candidate: Candidate, answer: dict[str, Any], status: int, duration_s: float
) -> Trial:
    """Judge how a trial ended: only a result *and* a clean end count."""
    if "result" in answer and status == 0:
        result = {**answer["result"], "accuracies": tuple(answer["result"]["accuracies"])}
        return Trial(number, candidate, "completed", duration_s=duration_s, **result)
    if "refused" in answer:
        return Trial(number, candidate, "refused", answer["refused"], duration_s=duration_s)
    if "error" in answer:
        message = answer["message"].strip().partition("\n")[0]
        reason = f"{answer['error']}: {message}" if message else answer["error"]
    elif status < 0:
        name = signal.Signals(-status).name
        hint = ", as when memory runs out" if name == "SIGKILL" else ""
        reason = f"its process was ended by {name}{hint}"
    else:
        reason = f"its process ended with status {status} and without a result"
    return Trial(number, candidate, "failed", reason, duration_s=duration_s)
