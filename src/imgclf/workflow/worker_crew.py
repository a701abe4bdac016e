"""The workers of a training on a cluster: made, watched, replaced where one is lost, ended."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from imgclf.clusters.connection import Cluster, require_ray
from imgclf.clusters.nodes import Demand, Node, most_at_once
from imgclf.errors import ClusterError, TrainingError, in_one_line
from imgclf.training.checkpoints import keep_checkpoint, newest_checkpoint
from imgclf.training.stop_request import StopOnRequest
from imgclf.workflow.shared_task import Outcome, Report, SharedTask
from imgclf.workflow.training_worker import TrainingWorker

__all__ = ["Crew", "fair_share"]

_logger = logging.getLogger(__name__)

MOST_RETRIES = 3
"""How often a training goes on with new workers after one was lost."""

POLL_S = 0.5
"""How often the first worker is asked how it goes on."""

SILENCE_S = 60.0
"""How long a worker may take to answer, to start, or to be found room for."""

RETURN_S = 10.0
"""How long a machine that is gone may take to come back before fewer workers go on."""

SLOW_STEP = 20
"""A step may take this many times the slowest one before it, once that is more than `SILENCE_S`."""

CLEAN_S = 2.0
"""How long a worker may take to remove its files before it is ended."""


class _WorkerLostError(Exception):
    """A worker died, or does not answer; new ones may go on."""


class _RoomLostError(Exception):
    """A machine is gone that a worker was to start on."""


class Crew:
    """The workers, made anew for each attempt: in a process that has lost one the others hang.

    Where a machine is gone for good, fewer workers go on: weights do not depend on their number.
    """

    def __init__(
        self,
        cluster: Cluster,
        counts: Sequence[int],
        task: SharedTask,
        checkpoints: Path | None,
        drawing: Sequence[keras.callbacks.Callback],
        stopping: StopOnRequest,
    ) -> None:
        """Prepare a training; nothing is started yet.

        Args:
            cluster: Where the workers run.
            counts: Numbers of workers that can share the batches, the wanted one first; the others
                count only where workers were lost.
            task: What each is told.
            checkpoints: The folder of the checkpoints; None keeps the newest in memory.
            drawing: Callbacks that draw what the first worker reports.
            stopping: Tells whether to stop.
        """
        self._cluster = cluster
        self._counts = counts
        self._task = task
        self._checkpoints = checkpoints
        self._newest = newest_checkpoint(checkpoints) if checkpoints is not None else None
        self._drawing = drawing
        self._stopping = stopping

    def fit(self, tell: Callable[[str], None]) -> Outcome:
        """Fit, and go on with new workers where one is lost.

        Args:
            tell: Is called with a sentence on what was lost.

        Returns:
            The first worker's.

        Raises:
            ClusterError: There is no room, the cluster is silent, or workers were lost too often.
            ImgclfError: The training failed as it would on one machine.
        """
        num_lost, after_loss = 0, False
        while True:
            try:
                with self._workers(tell, after_loss=after_loss) as workers:
                    return self._attempt(workers)
            except _RoomLostError:
                after_loss = True
            except _WorkerLostError as error:
                num_lost, after_loss = num_lost + 1, True
                if num_lost > MOST_RETRIES:
                    raise ClusterError(
                        f"A worker was lost for the {MOST_RETRIES + 1}th time ({error}): see "
                        "whether the machines have memory enough and reach each other."
                    ) from error
                _logger.info("Lost a worker: %s", error)
                tell(f"A worker was lost ({error}): new ones go on from the newest checkpoint.")

    @contextlib.contextmanager
    def _workers(self, tell: Callable[[str], None], *, after_loss: bool) -> Iterator[list[Any]]:
        """Make the workers, and end them in any case."""
        ray = require_ray()
        count, demand = self._wait_for_room(after_loss=after_loss)
        if count < self._counts[0]:
            tell(f"The cluster has room for {count} of {self._counts[0]} workers, which go on.")
        options = {**demand.as_options(), "max_concurrency": 3, "max_restarts": 0}
        self._cluster.wait_for_answer()  # Where workers are lost, the service may be, too.
        remote = ray.remote(TrainingWorker).options(scheduling_strategy="SPREAD", **options)
        workers = [remote.remote(demand.cpus) for _ in range(count)]
        try:
            yield workers
        finally:
            _end(ray, workers)

    def _wait_for_room(self, *, after_loss: bool) -> tuple[int, Demand]:
        """Wait until the cluster has room for all workers; after a loss, soon for fewer."""
        began_s = time.monotonic()
        while True:
            self._cluster.require_answer()
            waited_s = time.monotonic() - began_s
            patient = not after_loss or waited_s < RETURN_S
            for count in self._counts[:1] if patient else self._counts:
                demand = fair_share(self._cluster.nodes, count)
                if demand is not None:
                    return count, demand
            if waited_s > SILENCE_S:
                raise ClusterError(
                    f"The cluster has no room for {self._counts[0]} workers of a processor each: "
                    "start Ray on more machines, or ask for fewer (--train-workers)."
                )
            time.sleep(POLL_S)

    def _attempt(self, workers: Sequence[Any]) -> Outcome:
        """Let the workers train until the first one is done."""
        addresses = self._all_of([worker.address.remote() for worker in workers], starting=True)
        task = replace(self._task, checkpoint=self._newest)
        runs = [worker.train.remote(task, addresses, index) for index, worker in enumerate(workers)]
        watch = _Watch()
        pending = list(runs)
        while pending:
            self._cluster.require_answer()
            ray = require_ray()
            done, pending = ray.wait(pending, num_returns=1, timeout=POLL_S)
            outcomes: dict[int, Outcome] = {runs.index(one): self._all_of([one])[0] for one in done}
            if outcomes.keys() != {0}:  # The files of a first worker that is done are there still.
                self._ask(workers, watch)
            for outcome in outcomes.values():
                if outcome.error is not None:
                    raise outcome.error
                if outcome.lost:
                    raise _WorkerLostError(outcome.lost)
            if 0 in outcomes:
                self._take(self._all_of([workers[0].report.remote(False)])[0])
                return outcomes[0]
        raise _WorkerLostError("the first worker has no result")

    def _ask(self, workers: Sequence[Any], watch: _Watch) -> None:
        """Ask every worker how it goes on."""
        stop = self._stopping.ask()
        reports = self._all_of([worker.report.remote(stop) for worker in workers])
        self._take(reports[0])
        watch.require_progress(reports[0].num_batches)

    def _take(self, report: Report) -> None:
        """Draw what the first worker reports, and keep its checkpoint."""
        if report.checkpoint is not None:
            self._newest = report.checkpoint
            if self._checkpoints is not None:
                _keep(self._checkpoints, *report.checkpoint)
        for event in report.events:
            for callback in self._drawing:
                if event.params is not None:
                    callback.set_params(event.params)
                if event.method == "on_train_begin":
                    callback.on_train_begin()
                else:
                    getattr(callback, event.method)(event.number, event.logs)

    def _all_of(self, promises: Sequence[Any], *, starting: bool = False) -> list[Any]:
        """Return the workers' answers, by a deadline; those that start need room for all."""
        ray = require_ray()
        began_s = time.monotonic()
        while True:
            self._cluster.require_answer()
            try:
                answers: list[Any] = ray.get(list(promises), timeout=POLL_S)
            except ray.exceptions.GetTimeoutError:
                if starting and fair_share(self._cluster.nodes, len(promises)) is None:
                    raise _RoomLostError from None
                if time.monotonic() - began_s > SILENCE_S:
                    raise _WorkerLostError(f"no answer for {SILENCE_S:.0f} s") from None
            except ray.exceptions.RayActorError as error:
                raise _WorkerLostError(_reason(error)) from error
            except ray.exceptions.RayTaskError as error:
                reason = in_one_line(error.cause or error)[:300]
                raise ClusterError(
                    f"A worker failed ({reason}): see that every machine has the same versions of "
                    "Python, TensorFlow and imgclf."
                ) from error
            else:
                return answers


class _Watch:
    """Sees whether the batches go on."""

    def __init__(self) -> None:
        self._num_batches = 0
        self._since_s = time.monotonic()
        self._slowest_s = 0.0

    def require_progress(self, num_batches: int) -> None:
        """Refuse a standstill; before the first batch images are read and graphs are made."""
        now_s = time.monotonic()
        waited_s = now_s - self._since_s
        if num_batches != self._num_batches:
            if self._num_batches:
                self._slowest_s = max(self._slowest_s, waited_s)
            self._num_batches, self._since_s = num_batches, now_s
        elif self._num_batches and waited_s > max(SILENCE_S, SLOW_STEP * self._slowest_s):
            raise _WorkerLostError(f"no batch for {waited_s:.0f} s")


def fair_share(nodes: Sequence[Node], count: int) -> Demand | None:
    """Return what each worker gets: a GPU where there are enough, and as many processors as fit.

    Args:
        nodes: The machines.
        count: Number of workers.

    Returns:
        The largest demand that all workers can have at the same time; None where there is none.

    Example:
        >>> fair_share([Node("a", "a", 8, 0, 0), Node("b", "b", 4, 0, 0)], 2)
        Demand(cpus=4, gpus=0.0, memory_bytes=0)
    """
    most = int(max((node.cpus for node in nodes), default=0))
    for gpus in (1.0, 0.0):
        for cpus in range(most, 0, -1):
            demand = Demand(cpus=cpus, gpus=gpus)
            if most_at_once(nodes, demand) >= count:
                return demand
    return None


def _keep(folder: Path, name: str, content: bytes) -> None:
    try:
        keep_checkpoint(folder, name, content)
    except OSError as error:
        raise TrainingError(
            f"The checkpoint {folder / name} cannot be written ({error.strerror}): free some space "
            "and go on with --resume; the earlier checkpoints are whole."
        ) from error


def _reason(error: Exception) -> str:
    """Return the first line of what Ray says of a dead actor, without its ID."""
    text = str(getattr(error, "error_msg", error))
    return "its process ended" if "died" in text else in_one_line(error)[:200]


def _end(ray: Any, workers: Sequence[Any]) -> None:
    """End the workers, by force; their files go first where they can."""
    cleaned = [worker.clean.remote() for worker in workers]
    with contextlib.suppress(Exception):  # A dead worker cannot clean, which is no news.
        ray.wait(cleaned, num_returns=len(cleaned), timeout=CLEAN_S)
    for worker in workers:
        with contextlib.suppress(Exception):
            ray.kill(worker)
