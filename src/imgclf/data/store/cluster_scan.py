"""A scan on the nodes of a cluster: batches of files as Ray's tasks, their results kept here."""

from __future__ import annotations

import contextlib
import logging
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf.data.store.node_scan import BatchOrder, ScannedBatch, digest_of_files, scan_batch
from imgclf.errors import ClusterError, DataError, in_one_line

if TYPE_CHECKING:
    from imgclf.clusters.connection import Cluster
    from imgclf.clusters.nodes import Node
    from imgclf.data.pixels.decoder import DecodingLimits
    from imgclf.data.pixels.input_policy import InputPolicy
    from imgclf.data.reading.members import Span
    from imgclf.data.store.scan import ScanLimits
    from imgclf.data.store.scan_results import ScannedFile, ScanResults

__all__ = ["ClusterScan"]

BATCH_FILES = 256
"""Most files of a task; a scan of no more is made on this machine, which begins sooner."""

BATCH_BYTES = 32 * 1024**2
"""Most pixels of a task: they wait in the memory of Ray's object store."""

MOST_LOSSES = 3
"""How often a batch may be lost with its worker or node before it is scanned on this machine."""

REST_S = 5.0
"""How long a node that has lost a batch gets nothing: it may be gone, which is told later."""

SILENCE_S = 300.0
"""How long to wait for the next batch: others may use all processors of the cluster."""

POLL_S = 0.2
"""How often progress is reported, in seconds."""

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class ClusterScan:
    """The files of a scan that nodes can take over.

    Ray retries nothing: a batch whose worker or node is lost is given to another node, and a node
    that does not see the images is left out. Whatever no node has scanned in the end has no result,
    and `imgclf.data.store.scan.scan_files` scans it on this machine, as it would without a cluster.

    Attributes:
        cluster: The cluster.
        paths: ``(num_files,)`` absolute paths.
        policy: What every image is turned into.
        limits: Caps on a file's bytes and pixels.
        scan_limits: Caps on the time and memory that a file may take.
        span_of: Tells where an image lies in its tar file, by its index in `paths`.
        results: Filled with what nodes found; files that have a result are not scanned.
        pixel_file: Filled as by `scan_files`; None keeps no pixels.
        signature_file: Filled as by `scan_files`.
        progress: Called now and then with the number of files done and in all.
        keep: Called with index and result of files whose rows are filled.
    """

    cluster: Cluster
    paths: Sequence[str]
    policy: InputPolicy
    limits: DecodingLimits
    scan_limits: ScanLimits
    span_of: Callable[[int], Span | None]
    results: ScanResults
    pixel_file: str | None
    signature_file: str
    progress: Callable[[int, int], None] | None = None
    keep: Callable[[Iterable[tuple[int, ScannedFile]]], None] | None = None
    _waiting: deque[array[int]] = field(default_factory=deque)
    _running: dict[Any, tuple[Node, array[int]]] = field(default_factory=dict)
    _losses: Counter[int] = field(default_factory=Counter)
    """How often each batch was lost, by its first file."""
    _left_out: set[str] = field(default_factory=set)
    """The nodes that get no more batches."""
    _resting: dict[str, float] = field(default_factory=dict)
    """Until when a node gets none."""
    _num_done: int = 0
    _heard_s: float = 0.0
    _task: Any = None
    """Ray's function: made once, since each new one waits for the control service."""

    def run(self) -> None:
        """Let the nodes scan what they can.

        Raises:
            ClusterError: The control service is silent, or this machine's node has ended.
            DataError: The disk is full.
        """
        rows = array("q", self.results.unscanned())
        self._num_done = len(self.paths) - len(rows)
        if len(rows) <= BATCH_FILES:
            return
        row_bytes = int(np.prod(self.policy.pixel_shape)) if self.pixel_file else 1
        size = max(1, min(BATCH_FILES, BATCH_BYTES // row_bytes))
        import ray

        self._task = ray.remote(scan_batch)
        self._heard_s = time.monotonic()
        self._waiting.extend(rows[first : first + size] for first in range(0, len(rows), size))
        try:
            while self._give():
                self._take()
                if self.progress is not None:
                    self.progress(self._num_done, len(self.paths))
        finally:
            self._cancel()
        if next(self.results.unscanned(), None) is not None:
            _logger.warning("The rest of the images is read on this machine alone.")

    def _give(self) -> bool:
        """Give batches to the nodes that have room; tell whether any is or will be scanned."""
        self.cluster.require_answer()
        busy = Counter(node.node_id for node, _ in self._running.values())
        usable = [
            node
            for node in self.cluster.nodes
            if node.cpus >= 1 and node.node_id not in self._left_out
        ]
        now_s = time.monotonic()
        if now_s - self._heard_s > SILENCE_S:
            return False
        for node in usable:
            # One waits at each node for a free processor, or it would stand idle meanwhile.
            room = int(node.cpus) + 1 if self._resting.get(node.node_id, 0.0) <= now_s else 0
            for _ in range(room - busy[node.node_id]):
                if self._waiting:
                    self._send(node, self._waiting.popleft())
        return bool(self._running or (self._waiting and usable))

    def _send(self, node: Node, rows: array[int]) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        paths = tuple(self.paths[row] for row in rows)
        spans = [self.span_of(row) for row in rows]
        order = BatchOrder(
            version("imgclf"),
            paths,
            tuple(span for span in spans if span is not None) or None,
            digest_of_files(paths),
            self.policy,
            self.limits,
            self.scan_limits,
            self.pixel_file is not None,
        )
        here = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        options = {"num_cpus": 1, "max_retries": 0, "scheduling_strategy": here}
        self._running[self._task.options(**options).remote(order)] = (node, rows)

    def _take(self) -> None:
        """Wait for batches, and keep what they brought."""
        import ray

        if not self._running:
            time.sleep(POLL_S)
            return
        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=POLL_S)
        for promise in ready:
            self._heard_s = time.monotonic()
            node, rows = self._running.pop(promise)
            batch = self._fetch(promise, node)
            if batch is not None and not batch.refusal:
                self._store(rows, batch)
                continue
            if batch is None:
                self._losses[rows[0]] += 1
                self._resting[node.node_id] = time.monotonic() + REST_S
            else:
                self._leave_out(node, batch.refusal)
            if self._losses[rows[0]] <= MOST_LOSSES:
                self._waiting.appendleft(rows)

    def _fetch(self, promise: Any, node: Node) -> ScannedBatch | None:
        """Return what a node made of a batch; None where its worker or the node is gone."""
        import ray
        from ray.exceptions import (
            GetTimeoutError,
            LocalRayletDiedError,
            RayError,
            RayTaskError,
            TaskUnschedulableError,
        )

        while True:
            try:
                batch: ScannedBatch = ray.get(promise, timeout=1.0)
            except GetTimeoutError:
                self.cluster.require_answer()
            except RayTaskError as error:
                return ScannedBatch(in_one_line(error.cause or error)[:300])
            except LocalRayletDiedError as error:
                raise ClusterError(
                    "This machine's own node of the cluster has ended "
                    f"({in_one_line(error)[:200]}): start it again, and give the same command: it "
                    "goes on with what was scanned."
                ) from error
            except TaskUnschedulableError:  # The node is gone.
                self._left_out.add(node.node_id)
                return None
            except RayError:
                return None
            else:
                return batch

    def _leave_out(self, node: Node, reason: str) -> None:
        if node.node_id not in self._left_out:
            self._left_out.add(node.node_id)
            _logger.warning("The machine %s is left out of the scan: %s.", node.name, reason)

    def _store(self, rows: array[int], batch: ScannedBatch) -> None:
        """Write pixels and signatures into their rows, then keep the results."""
        assert batch.signatures is not None
        try:
            if self.pixel_file is not None:
                assert batch.pixels is not None
                _write_rows(self.pixel_file, rows, batch.pixels)
            _write_rows(self.signature_file, rows, batch.signatures)
        except OSError as error:
            raise DataError(
                f"The pixels cannot be stored ({error.strerror}): free some disk space."
            ) from error
        for row, result in zip(rows, batch.scanned, strict=True):
            self.results.put(row, result)
        if self.keep is not None:
            self.keep((row, self.results[row]) for row in rows)
        self._num_done += len(rows)

    def _cancel(self) -> None:
        """Let the nodes drop what nobody waits for any more."""
        import ray

        for promise in self._running:
            with contextlib.suppress(Exception):  # The cluster may be what has failed.
                ray.cancel(promise)


def _write_rows(path: str, rows: array[int], content: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Write rows of equal size, those that follow each other at once."""
    row_bytes = len(content) // len(rows)
    with Path(path).open("r+b") as file:
        for first, last in _runs(rows):
            file.seek(rows[first] * row_bytes)
            file.write(content[first * row_bytes : (last + 1) * row_bytes].data)


def _runs(rows: array[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last place of each run of rows that follow each other."""
    for _, run in groupby(enumerate(rows), lambda item: item[1] - item[0]):
        places = [place for place, _ in run]
        yield places[0], places[-1]
