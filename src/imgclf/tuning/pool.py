"""The pool of a search's workers: processes of this machine, or a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from imgclf.arguments import require_number, whole_number
from imgclf.clusters.address import parse_address
from imgclf.clusters.nodes import Demand
from imgclf.errors import ArgumentError
from imgclf.tuning.local_workers import LocalWorkers
from imgclf.tuning.tasks import WorkerTask

if TYPE_CHECKING:
    from imgclf.clusters.connection import Cluster

__all__ = ["ClusterChoice", "WorkerPool", "open_pool"]

TRIAL_MEMORY_GB = 2.0
"""Memory that a trial is given where nothing else is said: TensorFlow alone takes a quarter."""


class WorkerPool(Protocol):
    """Workers that run a search's tasks, each one task at a time."""

    @property
    def cluster(self) -> Cluster | None:
        """The cluster that the workers belong to; None where all are on this machine."""
        ...

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
            The task's job number and one of ``{"node"}``, ``{"epoch", "val_accuracy"}``,
            ``{"result"}``, ``{"refused"}``, ``{"accuracy"}``, ``{"error", "message"}``,
            ``{"ended": exit status}`` and ``{"lost"}``, where the worker is gone and the task has
            to be run again.

        Raises:
            TuningError: No worker can be started.
            ClusterError: The cluster does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClusterChoice:
    """The cluster of a search, and what each trial needs of it.

    Attributes:
        address: ``"HOST:PORT"``, ``"auto"`` or ``"local"``; None is no cluster.
        allow_unauthenticated: Connect without a token.
        trial_cpus: Processors of a trial; None is 1.
        trial_gpus: GPUs of a trial; None is 1 where the cluster has some, otherwise 0.
        trial_memory_gb: Memory of a trial in GB; None is 2.

    Raises:
        ArgumentError: A value is not accepted, or given without a cluster.
    """

    address: str | None = None
    allow_unauthenticated: bool = False
    trial_cpus: int | None = None
    trial_gpus: float | None = None
    trial_memory_gb: float | None = None

    def __post_init__(self) -> None:
        """Refuse what can be refused without Ray."""
        if self.trial_cpus is not None:
            whole_number("trial_cpus", self.trial_cpus)
        for name in ("trial_gpus", "trial_memory_gb"):
            value = getattr(self, name)
            if value is not None:
                require_number(name, value, 0, accepted="a number of at least 0")
        if self.address is not None:
            parse_address(self.address)
            return
        for name in ("allow_unauthenticated", "trial_cpus", "trial_gpus", "trial_memory_gb"):
            if getattr(self, name) not in (None, False):
                raise ArgumentError(
                    f"{name}={getattr(self, name)!r} belongs to a cluster: give one with --cluster "
                    "(cluster=...), or leave it out."
                )

    def demand(self, cluster: Cluster) -> Demand:
        """Return what each trial needs."""
        has_gpus = any(node.gpus >= 1 for node in cluster.nodes)
        gpus = float(has_gpus) if self.trial_gpus is None else self.trial_gpus
        memory_gb = TRIAL_MEMORY_GB if self.trial_memory_gb is None else self.trial_memory_gb
        return Demand(self.trial_cpus or 1, gpus, int(memory_gb * 1e9))


@contextlib.contextmanager
def open_pool(
    workers: int | None,
    choice: ClusterChoice | None = None,
    *,
    on_connected: Callable[[Cluster, int], None] = lambda _cluster, _room: None,
) -> Iterator[WorkerPool]:
    """Start the workers of a search.

    Args:
        workers: Trials at a time; None is 1 on this machine, and as many as a cluster has room for.
        choice: The cluster, if there is one.
        on_connected: Called with the cluster, and with the number of trials that it has room for.

    Yields:
        The pool of all workers.

    Raises:
        ArgumentError: A cluster was asked for that cannot be used without a change.
        ClusterError: The cluster cannot be reached.
        TuningError: No process can be started.
    """
    if choice is None or choice.address is None:
        with LocalWorkers(workers or 1) as local:
            yield local
        return
    from imgclf.clusters.connection import connect
    from imgclf.tuning.cluster_workers import ClusterWorkers

    with connect(choice.address, allow_unauthenticated=choice.allow_unauthenticated) as cluster:
        pool = ClusterWorkers(cluster, choice.demand(cluster), workers)
        on_connected(cluster, pool.num_idle)
        yield pool
