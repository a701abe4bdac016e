"""The processes that run trials, and what they say."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from imgclf.errors import TuningError
from imgclf.tuning.messages import ReceivedTask
from imgclf.tuning.tasks import WorkerTask
from imgclf.tuning.trial_server import LENGTH_BYTES

__all__ = ["LocalWorkers"]

MAX_LOST_IN_A_ROW = 2
"""Servers that may end one after the other, without a trial that ends, before the search does."""


@dataclass(slots=True, eq=False)
class _ServerProcess:
    """A running server process.

    Attributes:
        process: The process, in a session of its own together with its trials.
        errors: What it printed.
        ready: Whether it has imported Keras.
        job: The number of the trial that it runs; None while it waits.
        rest: The beginning of a line that has not come in full.
    """

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    ready: bool = False
    job: int | None = None
    rest: bytes = b""


@dataclass(slots=True)
class LocalWorkers:
    """A few server processes, each of which runs one trial at a time.

    They are started as modules of our own, so that a caller's script needs no main guard.
    Use as a context manager: leaving it ends all processes, whatever they are doing.

    Attributes:
        count: Number of processes.
    """

    count: int
    _workers: list[_ServerProcess] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _lost_in_a_row: int = 0

    def __enter__(self) -> LocalWorkers:
        """Start the processes; they import Keras while the caller does other things."""
        if not hasattr(os, "fork"):
            raise TuningError(
                "Tuning needs processes that can be forked, which this system does not have: "
                "use Linux or macOS (on Windows, WSL)."
            )
        for _ in range(self.count):
            self._start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """End all processes."""
        for worker in self._workers:
            self._end(worker)
        self._workers.clear()
        self._selector.close()

    @property
    def num_idle(self) -> int:
        """Number of processes that could take a trial."""
        return sum(worker.job is None for worker in self._workers)

    def run(self, job: int, task: WorkerTask | ReceivedTask) -> None:
        """Give a trial, or a refit, to a process that has none.

        Args:
            job: By which `events` names the trial.
            task: What to run.
        """
        worker = min(
            (worker for worker in self._workers if worker.job is None),
            key=lambda worker: not worker.ready,
        )
        worker.job = job
        content = pickle.dumps(task)
        assert worker.process.stdin is not None
        # Where the process has ended, `events` is about to notice.
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.write(len(content).to_bytes(LENGTH_BYTES, "big") + content)
            worker.process.stdin.flush()

    def events(self, timeout_s: float) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield what the processes have said, waiting for the first word at most `timeout_s`.

        Yields:
            A trial's job and one of ``{"epoch"}``, ``{"result"}``, ``{"refused"}``,
            ``{"error", "message"}``, ``{"ended": exit status}`` and ``{"lost"}``, the last where
            the server itself has ended and the trial has to be run again.

        Raises:
            TuningError: Processes end one after the other.
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
            [sys.executable, "-m", "imgclf.tuning.trial_server"],
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
        """Put a new process in the place of one that has ended."""
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
        """End a process and all that it has started."""
        assert worker.process.stdout is not None
        assert worker.process.stdin is not None
        # It may be gone already, with its whole session.
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
