"""One worker of a training on several machines: a Ray actor, made anew for each attempt.

Importing this module imports no TensorFlow: the worker decides first how it starts.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from imgclf.machine.startup import prepare_tensorflow
from imgclf.workflow.shared_task import Event, Outcome, Report, SharedTask

__all__ = ["TrainingWorker"]


class TrainingWorker:
    """Trains its part of each batch, and tells the driver how it goes on meanwhile.

    `train` runs in one thread of the actor, `report` in another.
    """

    def __init__(self, num_threads: int) -> None:
        """Prepare the process; TensorFlow is not imported yet."""
        prepare_tensorflow()
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(num_threads)
        self.folder = Path(tempfile.mkdtemp(prefix="imgclf-worker-"))
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._num_batches = 0
        self._stop_requested = False
        self._sent = ""

    def address(self) -> str:
        """Return an address of this machine that is free, for TensorFlow's own connections."""
        import ray

        host = ray.util.get_node_ip_address()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with closing(socket.socket(family)) as probe:
            probe.bind((host, 0))
            port = probe.getsockname()[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def train(self, task: SharedTask, addresses: Sequence[str], index: int) -> Outcome:
        """Train until the end, or until something fails."""
        from imgclf.workflow.shared_fit import fit_share

        try:
            return fit_share(task, addresses, index, self)
        finally:
            if index:
                self.clean()

    def report(self, stop_requested: bool) -> Report:
        """Tell what happened since the last report, and hear whether to stop."""
        self._stop_requested = stop_requested
        with self._lock:
            events, self._events = self._events, []
        return Report(self._num_batches, events, self._new_checkpoint())

    def clean(self) -> None:
        """Remove the worker's files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_stop_requested(self) -> bool:
        """Tell whether the driver asked to stop."""
        return self._stop_requested

    def note(self, event: Event | None = None) -> None:
        """Count a batch, or note what happened; of batches the newest is enough."""
        with self._lock:
            if event is None or event.method == "on_train_batch_end":
                self._num_batches += 1
            if event is None:
                return
            if self._events and self._events[-1].method == event.method == "on_train_batch_end":
                self._events.pop()
            self._events.append(event)

    def _new_checkpoint(self) -> tuple[str, bytes] | None:
        """Return the newest checkpoint, if it was not returned already."""
        names = sorted(path.name for path in self.folder.glob("*.safetensors"))
        if not names or names[-1] == self._sent:
            return None
        try:
            content = (self.folder / names[-1]).read_bytes()
        except FileNotFoundError:  # It has just been replaced: the next report has the new one.
            return None
        self._sent = names[-1]
        return names[-1], content
