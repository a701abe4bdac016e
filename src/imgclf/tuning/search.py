"""The search loop: propose a candidate, run it, record the trial, until a limit is reached."""

from __future__ import annotations

import signal
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from imgclf.errors import TuningError
from imgclf.tuning.candidates import Candidate, default_candidate, make_candidate, searched_values
from imgclf.tuning.pool import WorkerPool
from imgclf.tuning.proposals import Proposal, Proposer
from imgclf.tuning.search_spec import SearchSpec
from imgclf.tuning.study import Study
from imgclf.tuning.tasks import TrialTask
from imgclf.tuning.trials import Trial, completed

if TYPE_CHECKING:
    from imgclf.data.batches.plan import Plan
    from imgclf.tuning.datasets import DatasetPlan

__all__ = ["Search", "SearchCallbacks"]

SAME_ERRORS = 3
"""Trials in a row that fail in the same way before the search stops: the next would fail, too."""

POLL_S = 0.25
"""Longest time between two calls of `SearchCallbacks.on_poll`."""

MAX_LOST = 3
"""Workers that may die with a trial before it counts as failed."""

MAX_REPEATS = 50
"""Proposals in a row that were tried already before the space counts as exhausted."""

MAX_REFUSED = 10
"""Refused trials (networks that are too large) per allowed trial before the search ends."""


@dataclass(frozen=True, slots=True)
class SearchCallbacks:
    """Callbacks of a search; by default they do nothing.

    Attributes:
        on_trial_begin: Called with the number and the candidate of a trial.
        on_trial_placed: Called with the trial's number and the name of the cluster's node where it
            has begun.
        on_epoch_end: Called with the trial's number, the epoch (from 1, over all executions) and
            the validation accuracy in training precision.
        on_trial_end: Called with the trial that has ended, and with all trials.
        on_poll: Called a few times per second.
    """

    on_trial_begin: Callable[[int, Candidate], None] = lambda _number, _candidate: None
    on_trial_placed: Callable[[int, str], None] = lambda _number, _node: None
    on_epoch_end: Callable[[int, int, float], None] = lambda _number, _epoch, _accuracy: None
    on_trial_end: Callable[[Trial, tuple[Trial, ...]], None] = lambda _trial, _trials: None
    on_poll: Callable[[], None] = lambda: None


@dataclass(slots=True)
class _RunningTrial:
    """A trial that is running or waits to be run again."""

    candidate: Candidate
    proposal: Proposal | None
    began_s: float
    event: dict[str, Any] = field(default_factory=dict)
    times_lost: int = 0


@dataclass(slots=True)
class Search:
    """A search that is run once.

    Attributes:
        study: Holds the trials; each one is recorded as soon as it ends.
        spec: What is searched, how, and for how long.
        plan: The images.
        callbacks: Called as the search proceeds.
    """

    study: Study
    spec: SearchSpec
    plan: Plan | DatasetPlan
    callbacks: SearchCallbacks
    _proposer: Proposer | None = None
    _running: dict[int, _RunningTrial] = field(default_factory=dict)
    _lost: deque[tuple[int, _RunningTrial]] = field(default_factory=deque)
    _duplicates: dict[str, list[Proposal]] = field(default_factory=dict)
    _errors: list[str] = field(default_factory=list)
    _began_s: float = field(default_factory=time.monotonic)

    def run(self, pool: WorkerPool) -> None:
        """Run trials until a limit is reached or the space is exhausted.

        Args:
            pool: The workers that run them.

        Raises:
            TuningError: Three trials in a row fail in the same way; finished trials are kept.
        """
        exhausted = False
        while not exhausted or self._running or self._lost:
            while (self._lost or not exhausted) and pool.num_idle:
                found = self._next()
                if found == "wait":
                    break
                if found == "end":
                    exhausted = True
                    break
                self._begin(pool, *found)
            for number, event in pool.events(POLL_S):
                self._handle(number, event)
            self.callbacks.on_poll()

    def _next(self) -> tuple[int, _RunningTrial] | Literal["wait", "end"]:
        """Choose the next trial: a lost one, else the defaults, else what the oracle proposes."""
        if self._lost:
            return self._lost.popleft()
        if not self._may_begin():
            return "end"
        known = self._known()
        for architecture in self.spec.space.architectures:
            candidate = default_candidate(architecture, self.plan, self.spec.settings)
            if candidate.key not in known:
                return self._numbered(candidate, None)
        return self._propose(known)

    def _propose(
        self, known: Mapping[str, Trial | None]
    ) -> tuple[int, _RunningTrial] | Literal["wait", "end"]:
        """Ask the oracle for proposals until one is new; scores that are known are told at once."""
        proposer = self._proposer or self._make_proposer()
        for _ in range(MAX_REPEATS + len(known)):
            proposal = proposer.ask()
            if isinstance(proposal, str):
                return proposal if self._running else "end"
            candidate = make_candidate(
                self.spec.space, proposal.values, self.plan, self.spec.settings, proposal.epochs
            )
            if candidate.key not in known:
                return self._numbered(candidate, proposal)
            known_trial = known[candidate.key]
            if known_trial is None:
                self._duplicates.setdefault(candidate.key, []).append(proposal)
            else:
                proposer.tell(proposal, known_trial.score)
        return "wait" if self._running else "end"

    def _known(self) -> dict[str, Trial | None]:
        """Return all trials by their candidate's key; None for one that is still running."""
        running = {item.candidate.key: None for item in self._running.values()}
        return {**running, **{trial.candidate.key: trial for trial in self.study.trials}}

    def _make_proposer(self) -> Proposer:
        past = [searched_values(trial.candidate, self.spec.space) for trial in self.study.trials]
        self._proposer = Proposer(
            self.spec.space,
            self.spec.strategy,
            self.spec.settings.training.epochs,
            self.spec.settings.training.seed,
            [values for values in past if values is not None],
        )
        return self._proposer

    def _may_begin(self) -> bool:
        """Return whether the limits allow another trial."""
        trials = self.study.trials
        refused = sum(trial.status == "refused" for trial in trials)
        count = len(trials) - refused + len(self._running)
        limits = self.spec.limits
        if count >= limits.max_trials or refused > MAX_REFUSED * limits.max_trials:
            return False
        if limits.budget_s is None:
            return True
        durations = [trial.duration_s for trial in completed(trials)]
        expected_s = statistics.median(durations) if durations else 0.0
        return time.monotonic() - self._began_s + expected_s <= limits.budget_s

    def _numbered(
        self, candidate: Candidate, proposal: Proposal | None
    ) -> tuple[int, _RunningTrial]:
        number = self.study.next_number(list(self._running))
        return number, _RunningTrial(candidate, proposal, time.monotonic())

    def _begin(self, pool: WorkerPool, number: int, running: _RunningTrial) -> None:
        self._running[number] = running
        running.began_s, running.event = time.monotonic(), {}
        is_default = number < len(self.spec.space.architectures)
        task = TrialTask(
            self.plan,
            running.candidate,
            self.spec.settings,
            str(self.study.bundle(number)),
            str(self.study.log(number)),
            0.0 if is_default else self.study.least_kept(self.spec.limits.keep),
        )
        pool.run(number, task)
        self.callbacks.on_trial_begin(number, running.candidate)

    def _handle(self, number: int, event: dict[str, Any]) -> None:
        running = self._running[number]
        if "epoch" in event:
            self.callbacks.on_epoch_end(number, event["epoch"], event["val_accuracy"])
        elif "node" in event:
            self.callbacks.on_trial_placed(number, event["node"])
        elif "lost" in event:
            self._requeue(number, running)
        elif "ended" in event:
            self._end(number, running, event["ended"])
        else:
            running.event = event

    def _requeue(self, number: int, running: _RunningTrial) -> None:
        """Queue a trial again whose worker was lost; after several lost workers it has failed."""
        running.times_lost += 1
        if running.times_lost < MAX_LOST:
            self._lost.append((number, self._running.pop(number)))
            return
        running.event = {"error": "TuningError", "message": f"{MAX_LOST} workers died with it"}
        self._end(number, running, 1)

    def _end(self, number: int, running: _RunningTrial, status: int) -> None:
        """Record a trial, tell the oracle its score, and stop after repeated equal failures."""
        duration_s = time.monotonic() - running.began_s
        trial = _make_trial(number, running.candidate, running.event, status, duration_s)
        self.study.record(trial)
        del self._running[number]
        self.study.keep_best(self.spec.limits.keep, range(len(self.spec.space.architectures)))
        if running.proposal is not None:
            self._tell(running.proposal, trial)
        for proposal in self._duplicates.pop(running.candidate.key, []):
            self._tell(proposal, trial)
        self.callbacks.on_trial_end(trial, self.study.trials)
        self._stop_after_same_errors(trial)

    def _tell(self, proposal: Proposal, trial: Trial) -> None:
        assert self._proposer is not None
        self._proposer.tell(proposal, trial.score)

    def _stop_after_same_errors(self, trial: Trial) -> None:
        self._errors = [*self._errors, trial.reason] if trial.status == "failed" else []
        last = self._errors[-SAME_ERRORS:]
        if len(last) == SAME_ERRORS and len(set(last)) == 1:
            raise TuningError(
                f"{SAME_ERRORS} trials in a row failed in the same way: {trial.reason} "
                f"(details in {self.study.log(trial.number)}). Fix the cause, then continue with "
                "--resume (resume=True); finished trials are kept."
            )


def _make_trial(
    number: int, candidate: Candidate, event: dict[str, Any], status: int, duration_s: float
) -> Trial:
    """Return the trial from its last event and exit status: a result counts with status 0 only."""
    if "result" in event and status == 0:
        result = {**event["result"], "accuracies": tuple(event["result"]["accuracies"])}
        return Trial(number, candidate, "completed", duration_s=duration_s, **result)
    if "refused" in event:
        return Trial(number, candidate, "refused", event["refused"], duration_s=duration_s)
    if "error" in event:
        message = event["message"].strip().partition("\n")[0]
        reason = f"{event['error']}: {message}" if message else event["error"]
    elif status < 0:
        name = signal.Signals(-status).name
        hint = ", as when memory runs out" if name == "SIGKILL" else ""
        reason = f"its process was ended by {name}{hint}"
    else:
        reason = f"its process ended with status {status} and without a result"
    return Trial(number, candidate, "failed", reason, duration_s=duration_s)
