"""Cluster workers: a search's tasks as tasks of Ray."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from imgclf.atomic import write_atomically
from imgclf.clusters.connection import Cluster
from imgclf.clusters.nodes import Demand, most_at_once
from imgclf.data.batches.plan import Plan
from imgclf.errors import ClusterError, in_one_line
from imgclf.tuning.node_run import NodeOrder, run_on_node
from imgclf.tuning.shipped_images import Shipment, listing_digest, ship_images
from imgclf.tuning.tasks import WorkerTask

__all__ = ["ClusterWorkers"]

TASKS_PER_WORKER = 20
"""Tasks after which Ray starts a fresh worker; the first task in one imports TensorFlow."""

ROOM_WAIT_S = 300.0
"""How long to wait while no node is large enough for a trial: clusters can grow by themselves."""


@dataclass
class ClusterWorkers:
    """A pool whose workers are those of a cluster; see `imgclf.tuning.pool.WorkerPool`.

    Ray retries nothing: a task whose worker or node is lost is reported as lost, and the search,
    which counts how often that happens to a trial, gives it to the pool again. Ray itself
    would go on for ever with a trial that the memory of no node is enough for.

    Attributes:
        cluster: The cluster.
        demand: What each task needs.
        most: Most tasks at a time; None is as many as the cluster has room for.
    """

    cluster: Cluster
    demand: Demand
    most: int | None = None
    _running: dict[Any, tuple[int, WorkerTask]] = field(default_factory=dict)
    _listing: str | None = None
    _shipment: Shipment | None = None
    _room_s: float = field(default_factory=time.monotonic)

    @property
    def num_idle(self) -> int:
        """Number of further tasks that the cluster has room for; one always waits for some."""
        room = max(1, most_at_once(self.cluster.nodes, self.demand))
        return max(0, min(room, self.most or room) - len(self._running))

    def run(self, job: int, task: WorkerTask) -> None:
        """Give a task to the cluster."""
        plan = task.plan
        assert isinstance(plan, Plan)  # `tune` has refused plain datasets.
        if self._listing is None:  # All tasks of a study have the same images.
            self._listing = listing_digest(plan)
        split = None if plan.split_file is None else Path(plan.split_file).read_bytes()
        order = NodeOrder(
            task, version("imgclf"), split, self._listing, self._shipment, self.demand.cpus
        )
        self._running[self._function.remote(order)] = (job, task)

    def events(self, timeout_s: float) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the tasks' events, and ``{"node": its name}`` once a task has begun.

        Raises:
            ClusterError: The control service is silent, or no node is large enough.
        """
        import ray

        self.cluster.require_answer()
        self._require_room()
        if not self._running:
            time.sleep(timeout_s)
            return
        ready, _ = ray.wait(
            list(self._running), num_returns=1, timeout=timeout_s, fetch_local=False
        )
        for stream in ready:
            job, task = self._running[stream]
            for event in self._next_events(stream):
                if "images" in event:  # The node does not have them.
                    del self._running[stream]
                    assert isinstance(task.plan, Plan)
                    self._shipment = self._shipment or ship_images(task.plan)
                    self.run(job, task)
                    continue
                if "lost" in event or "ended" in event:
                    del self._running[stream]
                yield job, self._as_told(event, task)

    @cached_property
    def _function(self) -> Any:
        import ray

        options = {"num_returns": "streaming", "max_retries": 0, "max_calls": TASKS_PER_WORKER}
        return ray.remote(**options, **self.demand.as_options())(run_on_node)

    def _next_events(self, stream: Any) -> list[dict[str, Any]]:
        """Return the next item of a task's stream; what its failure means, if it has failed."""
        from ray.exceptions import LocalRayletDiedError, RayError, RayTaskError

        try:
            return [self._fetch(next(stream))]
        except StopIteration:
            return [{"lost": True}]
        except RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            told = {"error": type(cause).__name__, "message": str(cause)[:1000]}
            return [told, {"ended": 1}]
        except LocalRayletDiedError as error:
            raise ClusterError(
                f"This machine's own node of the cluster has ended ({in_one_line(error)[:200]}): "
                "start it again, then continue with --resume (resume=True)."
            ) from error
        except RayError:  # The worker or its node is gone, or what it had made.
            return [{"lost": True}]

    def _as_told(self, event: dict[str, Any], task: WorkerTask) -> dict[str, Any]:
        """Return an event as the search understands it; files that came with it are kept."""
        if "node" in event:
            return {"node": self.cluster.name_of(event["node"])}
        if "log" in event:
            _keep(event, task)
            return {"ended": event["ended"]}
        return event

    def _fetch(self, reference: Any) -> dict[str, Any]:
        """Return an item; a classifier may have to come from another node."""
        import ray
        from ray.exceptions import GetTimeoutError

        while True:
            with contextlib.suppress(GetTimeoutError):
                event: dict[str, Any] = ray.get(reference, timeout=1.0)
                return event
            self.cluster.require_answer()

    def _require_room(self) -> None:
        """Raise an error where a task waits for a node that nobody adds."""
        now_s = time.monotonic()
        if most_at_once(self.cluster.nodes, self.demand):
            self._room_s = now_s
        patience_s = 0.0 if self.cluster.address.is_local else ROOM_WAIT_S
        if now_s - self._room_s > patience_s:
            names = ", ".join(
                f"{node.name} ({Demand(int(node.cpus), node.gpus, int(node.memory_bytes))})"
                for node in self.cluster.nodes
            )
            raise ClusterError(
                f"No node has {self.demand}, which a trial was to have: {names or 'there is none'}."
                " Give smaller --trial-cpus, --trial-gpus or --trial-memory-gb."
            )


def _keep(event: dict[str, Any], task: WorkerTask) -> None:
    """Write what came back to the study: the classifier of a task that ended well, and the log."""
    Path(task.log).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(Path(task.log), event["log"], synced=False)
    if task.bundle and event["ended"] == 0 and event["bundle"]:
        write_atomically(Path(task.bundle), event["bundle"])
