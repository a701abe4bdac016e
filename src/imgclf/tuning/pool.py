"""The pool of a search's workers: local processes, remote workers, or both."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from imgclf.errors import ArgumentError
from imgclf.tuning.addresses import parse_address, require_private
from imgclf.tuning.chief import WORKER_WAIT_S, Chief
from imgclf.tuning.local_workers import LocalWorkers
from imgclf.tuning.tasks import WorkerTask

__all__ = ["CombinedPool", "WorkerPool", "open_pool"]


class WorkerPool(Protocol):
    """Workers that run a search's tasks, each one task at a time."""

    @property
    def num_idle(self) -> int:
        """Number of workers without a task."""
        ...

    def run(self, job: int, task: WorkerTask) -> None:
        """Give a task to an idle worker.

        Args:
            job: Number by which `events` names the task.
            task: The trial or refit.
        """
        ...

    def events(self, timeout_s: float) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the workers' events; wait for the first one at most `timeout_s` seconds.

        Yields:
            The task's job number and one of ``{"epoch", "val_accuracy"}``, ``{"result"}``,
            ``{"refused"}``, ``{"accuracy"}``, ``{"error", "message"}``,
            ``{"ended": exit status}`` and ``{"lost"}``, where the worker is gone and the task has
            to be run again.

        Raises:
            TuningError: There are no workers any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class CombinedPool:
    """Local and remote workers as one pool.

    Attributes:
        local: Workers of this machine; they get tasks first.
        remote: Workers that joined over the network.
    """

    local: WorkerPool
    remote: WorkerPool

    @property
    def num_idle(self) -> int:
        """Number of workers without a task."""
        return self.local.num_idle + self.remote.num_idle

    def run(self, job: int, task: WorkerTask) -> None:
        """Give a task to an idle worker, a local one if possible."""
        (self.local if self.local.num_idle else self.remote).run(job, task)

    def events(self, timeout_s: float) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the events of all workers, as `WorkerPool.events`."""
        yield from self.local.events(timeout_s / 2)
        yield from self.remote.events(timeout_s / 2)


@contextlib.contextmanager
def open_pool(
    workers: int,
    chief_address: str | None = None,
    *,
    allow_network: bool = False,
    on_listening: Callable[[str], None] = lambda _address: None,
) -> Iterator[WorkerPool]:
    """Start the workers of a search.

    Args:
        workers: Number of processes on this machine; 0 only with `chief_address`.
        chief_address: ``HOST:PORT`` at which remote workers may join; None allows none.
        allow_network: Whether other machines may reach that address.
        on_listening: Called with the address, including the actual port, once workers may join.

    Yields:
        The pool of all workers.

    Raises:
        ArgumentError: The number or the address is not accepted.
        TuningError: The address cannot be listened on.
    """
    fewest = 0 if chief_address is not None else 1
    if isinstance(workers, bool) or not workers >= fewest or workers % 1:
        raise ArgumentError(
            f"workers={workers!r} is not accepted: give a whole number of at least {fewest}"
            + ("." if fewest == 0 else ", or a chief_address at which workers may join.")
        )
    if chief_address is None:
        with LocalWorkers(workers) as local:
            yield local
        return
    host, port = parse_address(chief_address)
    require_private(host, allow_network=allow_network)
    with Chief(host, port, patience_s=None if workers else WORKER_WAIT_S) as chief:
        host_text = f"[{host}]" if ":" in host else host
        on_listening(f"{host_text}:{chief.port}")
        if not workers:
            yield chief
            return
        with LocalWorkers(workers) as local:
            yield CombinedPool(local, chief)
