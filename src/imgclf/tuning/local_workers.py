"""Local workers: processes of this machine that run a search's tasks."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar

from imgclf.errors import TuningError
from imgclf.tuning.tasks import WorkerTask
from imgclf.tuning.trial_server import sent_task

__all__ = ["LocalWorkers"]

MAX_LOST_IN_A_ROW = 2
"""Server processes that may die in a row, without a task that ends, before the search stops."""


@dataclass(slots=True, eq=False)
class _ServerProcess:
    """A running `imgclf.tuning.trial_server`.

    Attributes:
        process: The process, which leads a process group with its trials.
        errors: File of what it printed.
        ready: Whether it has imported Keras.
        job: Number of the task that it runs; None while it is idle.
        rest: Incomplete line at the end of what was read.
    """

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    ready: bool = False
    job: int | None = None
    rest: bytes = b""


@dataclass(slots=True)
class LocalWorkers:
    """A pool of local server processes, each of which runs one task at a time.

    The processes are started with ``python -m``, so that a caller's script needs no main guard.
    Use it as a context manager; leaving it kills all processes.

    Attributes:
        count: Number of processes.
        share: Whether tasks that may share a process do; it then stays, with its memory, until
            another kind of task comes.
    """

    cluster: ClassVar[None] = None
    count: int
    share: bool = True
    _workers: list[_ServerProcess] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _lost_in_a_row: int = 0

    def __enter__(self) -> LocalWorkers:
        """Start the processes, without waiting for their imports."""
        if not hasattr(os, "fork"):
            raise TuningError(
                "Tuning needs processes that can be forked, which this system does not have: "
                "use Linux or macOS (on Windows, WSL)."
            )
        for _ in range(self.count):
            self._start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Kill all processes."""
        for worker in self._workers:
            self._end(worker)
        self._workers.clear()
        self._selector.close()

    @property
    def num_idle(self) -> int:
        """Number of processes without a task."""
        return sum(worker.job is None for worker in self._workers)

    def run(self, job: int, task: WorkerTask) -> None:
        """Give a task to an idle process; see `imgclf.tuning.pool.WorkerPool`."""
        worker = min(
            (worker for worker in self._workers if worker.job is None),
            key=lambda worker: not worker.ready,
        )
        worker.job = job
        content = sent_task(task, task.shared_process if self.share else "")
        assert worker.process.stdin is not None
        # Where the process has died, `events` will notice.
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.write(content)
            worker.process.stdin.flush()

    def events(self, timeout_s: float) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the processes' events; see `imgclf.tuning.pool.WorkerPool`.

        Raises:
            TuningError: Several processes in a row have died.
        """
        for key, _ in self._selector.select(timeout_s):
            worker: _ServerProcess = key.data
            content = os.read(key.fd, 65536)
            if not content:
                yield from self._replace(worker)
                continue
            *lines, worker.rest = (worker.rest + content).split(b"\n")
            for line in lines:
                event = json.loads(line)
                job = worker.job
                if "ready" in event:
                    worker.ready = True
                elif job is not None:
                    if "ended" in event:
                        worker.job, self._lost_in_a_row = None, 0
                    yield job, event

    def _start(self) -> None:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _end
        process = subprocess.Popen(
            # -P: a pickle.py in the current folder must not be taken for Python's own.
            [sys.executable, "-P", "-m", "imgclf.tuning.trial_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "TF_CPP_MIN_LOG_LEVEL": "3",
                # Search and trials share a GPU, whose whole memory TensorFlow would take at once.
                "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            },
            start_new_session=True,  # Ctrl-C is for the search, which then ends the trials
        )
        worker = _ServerProcess(process, errors)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        self._workers.append(worker)

    def _replace(self, worker: _ServerProcess) -> Iterator[tuple[int, dict[str, Any]]]:
        """Replace a process that has died; yields that its task is lost."""
        self._workers.remove(worker)
        worker.errors.seek(0)
        last_words = worker.errors.read()
        self._end(worker)
        self._lost_in_a_row += 1
        if self._lost_in_a_row > MAX_LOST_IN_A_ROW:
            raise TuningError(
                f"The process that runs trials ended with status {worker.process.returncode}: "
                f"{_last_line(last_words)}"
            )
        self._start()
        if worker.job is not None:
            yield worker.job, {"lost": True}

    def _end(self, worker: _ServerProcess) -> None:
        """Kill a process and all processes that it has started."""
        assert worker.process.stdout is not None
        assert worker.process.stdin is not None
        # The whole group may be gone already.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait()
        self._selector.unregister(worker.process.stdout)
        worker.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # A task may still be in the pipe.
            worker.process.stdin.close()
        worker.errors.close()


def _last_line(content: bytes) -> str:
    lines = content.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
