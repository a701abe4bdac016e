"""All workers of a search as one pool, wherever they are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from imgclf.errors import ArgumentError
from imgclf.tuning.addresses import parse_address, require_private
from imgclf.tuning.chief import NOBODY_S, Chief
from imgclf.tuning.local_workers import LocalWorkers
from imgclf.tuning.tasks import WorkerTask

__all__ = ["CombinedPool", "WorkerPool", "open_pool"]


class WorkerPool(Protocol):
    """The processes that run trials, wherever they are."""

    @property
    def num_idle(self) -> int:
        """Number of processes that could take a trial."""
        ...

    def run(self, job: int, task: WorkerTask) -> None:
        """Give a trial, or a refit, to a process that has none."""
        ...

    def events(self, timeout_s: float) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield what the processes have said, waiting for the first word at most `timeout_s`."""
        ...


@dataclass(frozen=True, slots=True)
class CombinedPool:
    """Workers of this machine and those that have joined, as one pool.

    Attributes:
        own: Workers of this machine; they are asked first.
        joined: Those that came over the network.
    """

    own: WorkerPool
    joined: WorkerPool

    @property
    def num_idle(self) -> int:
        """Number of workers that could take a trial."""
        return self.own.num_idle + self.joined.num_idle

    def run(self, job: int, task: WorkerTask) -> None:
        """Give a trial, or a refit, to a worker that has none."""
        (self.own if self.own.num_idle else self.joined).run(job, task)

    def events(self, timeout_s: float) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield what all workers have said, waiting for the first word at most `timeout_s`."""
        yield from self.own.events(timeout_s / 2)
        yield from self.joined.events(timeout_s / 2)


@contextlib.contextmanager
def open_pool(
    workers: int,
    chief_address: str | None = None,
    *,
    allow_network: bool = False,
    listening: Callable[[str], None] = lambda _address: None,
) -> Iterator[WorkerPool]:
    """Start the workers of a search.

    Args:
        workers: Processes of this machine; 0 only with `chief_address`.
        chief_address: ``HOST:PORT`` at which others may join; None lets none.
        allow_network: Whether that address may be reached from other machines.
        listening: Called with the address once others may join, with the port that was taken.

    Yields:
        All of them as one pool.

    Raises:
        ArgumentError: The number or the address is not accepted.
        TuningError: The address cannot be listened on.
    """
    fewest = 0 if chief_address is not None else 1
    if isinstance(workers, bool) or not workers >= fewest or workers % 1:
        raise ArgumentError(
            f"workers={workers!r} is not accepted: give a whole number from {fewest} on"
            + ("." if fewest == 0 else ", or a chief_address at which others may join.")
        )
    if chief_address is None:
        with LocalWorkers(workers) as own:
            yield own
        return
    host, port = parse_address(chief_address)
    require_private(host, allow_network=allow_network)
    with Chief(host, port, patience_s=None if workers else NOBODY_S) as chief:
        shown = f"[{host}]" if ":" in host else host
        listening(f"{shown}:{chief.port}")
        if not workers:
            yield chief
            return
        with LocalWorkers(workers) as own:
            yield CombinedPool(own, chief)
