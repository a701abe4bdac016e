"""A process that runs trials in child processes.

`imgclf.tuning.local_workers` starts it as ``python -m imgclf.tuning.trial_server``. It imports
Keras once and runs no operation itself, so that it can be forked: the seconds of the import are
paid once, a trial that crashes harms no other, and all memory of a trial is freed with its process.
Tasks that say so share a child, one after the other, until one fails or another kind comes.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import select
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgclf.tuning.tasks import WorkerTask

__all__ = ["main", "run_task", "sent_task"]

POLL_S = 0.05
"""How often the server checks whether a child has ended that others keep the pipes of."""

LENGTH_BYTES = 8
"""Bytes of the lengths that precede the name of the child and the pickled task."""


def main() -> None:
    """Run one task after the other until standard input ends."""
    events = os.dup(1)
    os.dup2(2, 1)  # Whatever a library prints must not mix with the events.
    # Imported before the first fork, so that no child needs to.
    import imgclf.classifiers.packer
    import imgclf.tuning.refit
    import imgclf.tuning.trial_run  # noqa: F401

    _send_event(events, {"ready": True})
    child: _Child | None = None
    while True:
        name, content = _read_part(0), _read_part(0)
        if child is not None and not (content and name == child.name and child.is_alive()):
            child.end()
            child = None
        if not content:
            return
        if child is None:
            child = _fork(name, events)
        _send_event(events, {"ended": child.run(content)})


def sent_task(task: WorkerTask, process: str) -> bytes:
    """Return a task as the server reads it.

    Args:
        task: The trial or refit.
        process: Name of the child that runs it, after others of that name; empty for its own.

    Returns:
        What to write to its standard input.
    """
    parts = process.encode(), pickle.dumps(task)
    return b"".join(len(part).to_bytes(LENGTH_BYTES, "big") + part for part in parts)


@dataclass(slots=True)
class _Child:
    """A process that runs the tasks of one name.

    Attributes:
        pid: Its process ID.
        name: The name; one without a name runs a single task.
        tasks: Where its tasks are written to.
        done: Where it says that a task is done.
        status: Its exit status; None while it is there.
    """

    pid: int
    name: bytes
    tasks: int
    done: int
    status: int | None = None

    def is_alive(self) -> bool:
        """Tell whether it is there, and note its exit status if it is not."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is None

    def run(self, content: bytes) -> int:
        """Run a task; returns its status. All is over when the search has ended meanwhile."""
        with contextlib.suppress(BrokenPipeError):  # It is found to be gone below.
            _write(self.tasks, len(content).to_bytes(LENGTH_BYTES, "big") + content)
        while True:
            readable, _, _ = select.select([0, self.done], [], [], POLL_S)
            if self.done in readable and os.read(self.done, 1):
                return 0
            if not self.is_alive():
                assert self.status is not None
                return self.status
            if 0 in readable:  # Nothing is sent while a trial runs: the input has ended.
                self.end()
                sys.exit(1)

    def end(self) -> None:
        """End the process, which keeps nothing that is needed."""
        if self.is_alive():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.tasks)
        os.close(self.done)


def _fork(name: bytes, events: int) -> _Child:
    tasks, tasks_end = os.pipe()
    done_end, done = os.pipe()
    pid = os.fork()
    if pid:
        os.close(tasks)
        os.close(done)
        return _Child(pid, name, tasks_end, done_end)
    code = 1
    try:
        os.close(tasks_end)
        os.close(done_end)
        while content := _read_part(tasks):
            code = _run_in_child(content, events)
            if code or not name:
                break
            os.write(done, b".")
    finally:
        # The server's exit handlers must not run twice, nor TensorFlow's threads be waited for.
        os._exit(code)


def run_task(task: WorkerTask, report: Callable[[dict[str, Any]], None]) -> None:
    """Run a trial or a refit in this process.

    Args:
        task: The trial or refit.
        report: Called with each event.
    """
    from imgclf.tuning.refit import run_refit
    from imgclf.tuning.tasks import RefitTask, TrialTask
    from imgclf.tuning.trial_run import run_trial

    if isinstance(task, TrialTask):
        run_trial(task, report)
    elif isinstance(task, RefitTask):
        run_refit(task, report)
    else:
        raise TypeError(f"{type(task).__name__} is not a task of a search.")


def _run_in_child(content: bytes, events: int) -> int:
    """Run a task in this process, a child; returns its status."""
    try:
        task: WorkerTask = pickle.loads(content)  # noqa: S301 - sent by our own parent process
        _redirect_output(task.log)
        run_task(task, lambda event: _send_event(events, event))
    except BaseException as error:  # noqa: BLE001 - even sys.exit ends this trial alone
        traceback.print_exc()
        _send_event(events, {"error": type(error).__name__, "message": str(error)[:1000]})
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _redirect_output(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _read_part(file: int) -> bytes:
    """Read a length and as many bytes; none where the input ends before."""
    return _read(file, int.from_bytes(_read(file, LENGTH_BYTES), "big"))


def _read(file: int, count: int) -> bytes:
    content = b""
    while len(content) < count:
        part = os.read(file, count - len(content))
        if not part:
            return b""
        content += part
    return content


def _write(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]


def _send_event(events: int, event: dict[str, Any]) -> None:
    # One write below the size up to which pipes are atomic: lines of server and child never mix.
    os.write(events, json.dumps(event).encode() + b"\n")


if __name__ == "__main__":
    main()
