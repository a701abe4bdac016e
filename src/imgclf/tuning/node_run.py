"""A task of a search on a node of a cluster: what Ray runs there, and what it tells."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from imgclf.data.batches.plan import Plan
from imgclf.errors import TuningError
from imgclf.tuning.local_workers import LocalWorkers
from imgclf.tuning.shipped_images import Shipment, listing_digest, receive_images
from imgclf.tuning.tasks import WorkerTask

__all__ = ["NodeOrder", "run_on_node"]

POLL_S = 1.0
"""How long to wait for an event of the trial's process before looking again."""

MAX_LOG_BYTES = 1024**2
"""What is sent of what a trial printed: its end."""


@dataclass(frozen=True, slots=True)
class NodeOrder:
    """What a node is told to do; picklable.

    Attributes:
        task: The trial or refit, with paths of the searching machine.
        imgclf: The version that the search runs with.
        split: Content of the task's ``split.csv``; None where it has none.
        listing: What `listing_digest` says of the images on the searching machine.
        shipment: The images, once a node has asked for them.
        cpus: Threads of the training.
    """

    task: WorkerTask
    imgclf: str
    split: bytes | None
    listing: str | None
    shipment: Shipment | None
    cpus: int


def run_on_node(order: NodeOrder) -> Iterator[dict[str, Any]]:
    """Run a task in a process of its own on this node.

    Ray streams what is yielded to the searching machine. The process that imports TensorFlow stays
    for the next task of this worker, and each task is forked from it, as on one machine: a trial
    that crashes is told as such, and no memory is left behind.

    Args:
        order: The task.

    Yields:
        ``{"node": its ID}``, the events of `imgclf.tuning.pool.WorkerPool`, and last
        ``{"ended": exit status, "bundle": bytes, "log": bytes}``; or ``{"images": "missing"}``
        alone, where they have to be sent.

    Raises:
        TuningError: The node has another version of imgclf, or no process for trials starts.
    """
    import ray

    yield {"node": ray.get_runtime_context().get_node_id()}
    if order.imgclf != version("imgclf"):
        raise TuningError(
            f"This node has imgclf {version('imgclf')}, the search {order.imgclf}: install the "
            "same version on all nodes."
        )
    plan = _find_images(order)
    if plan is None:
        yield {"images": "missing"}
        return
    with tempfile.TemporaryDirectory(prefix="imgclf-") as folder:
        task = _with_paths_in(Path(folder), order, plan)
        for event in _run(task, order.cpus):
            ended = "ended" in event
            made = {"bundle": _content(task.bundle), "log": _content(task.log)} if ended else {}
            yield {**event, **made}


def _find_images(order: NodeOrder) -> Plan | None:
    """Return the plan with the folders of this node; None where the images are not here."""
    plan = order.task.plan
    assert isinstance(plan, Plan)
    folders = (plan.train_dir, plan.val_dir, plan.test_dir, order.listing)
    if folders in _found:
        return plan
    if order.listing is not None and listing_digest(plan) == order.listing:
        _found.add(folders)
        return plan
    return None if order.shipment is None else receive_images(order.shipment, plan)


_found: set[tuple[str | None, ...]] = set()
"""Folders that this worker has compared with those of the searching machine."""


def _with_paths_in(folder: Path, order: NodeOrder, plan: Plan) -> WorkerTask:
    """Return the task with files of its own in a folder of this node."""
    if order.split is not None:
        split_file = folder / "split.csv"
        split_file.write_bytes(order.split)
        plan = replace(plan, split_file=str(split_file))
    bundle = str(folder / "classifier.imgclf") if order.task.bundle else ""
    return replace(order.task, plan=plan, bundle=bundle, log=str(folder / "log.txt"))


def _run(task: WorkerTask, cpus: int) -> Iterator[dict[str, Any]]:
    """Yield the events of a task in this worker's process for trials."""
    workers = _process_for_trials(cpus)
    try:
        workers.run(0, task)
        while True:
            for _, event in workers.events(POLL_S):
                if "lost" in event:  # It was replaced; one that never stays ends in an error.
                    workers.run(0, task)
                    continue
                yield event
                if "ended" in event:
                    return
    except TuningError:  # It does not start; the next task tries again.
        _processes.pop(_visible_gpus()).__exit__()
        raise


_processes: dict[str, LocalWorkers] = {}
"""The process for trials of this worker, by the GPUs that Ray has given to it."""


def _process_for_trials(cpus: int) -> LocalWorkers:
    """Start the process for trials, or return the one that is here; it ends with this worker."""
    gpus = _visible_gpus()
    if gpus not in _processes:
        for other in _processes.values():
            other.__exit__()
        _processes.clear()
        for kind in ("INTRAOP", "INTEROP"):
            os.environ.setdefault(f"TF_NUM_{kind}_THREADS", str(cpus))
        _processes[gpus] = LocalWorkers(1, share=False).__enter__()
    return _processes[gpus]


def _visible_gpus() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "")


def _content(path: str) -> bytes:
    """Return a file's content, or the end of it; empty where there is none."""
    file = Path(path)
    if not path or not file.is_file():
        return b""
    content = file.read_bytes()
    return content if file.suffix == ".imgclf" else content[-MAX_LOG_BYTES:]
