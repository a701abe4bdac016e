"""A process that runs trials, each in a child process of its own.

`imgclf.tuning.local_workers` starts it as ``python -m imgclf.tuning.trial_server``. It imports
Keras once and runs no operation itself, so that it can be forked: the seconds of the import are
paid once, a trial that crashes harms no other, and all memory of a trial is freed with its process.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgclf.tuning.tasks import WorkerTask

__all__ = ["LENGTH_BYTES", "main", "run_task"]

POLL_S = 0.05
"""How often the server checks whether the trial has ended and the search still runs."""

LENGTH_BYTES = 8
"""Bytes of the length that precedes each pickled task."""


def main() -> None:
    """Run one task after the other until standard input ends."""
    events = os.dup(1)
    os.dup2(2, 1)  # Whatever a library prints must not mix with the events.
    # Imported before the first fork, so that no child needs to.
    import imgclf.classifiers.packer
    import imgclf.tuning.refit
    import imgclf.tuning.trial_run  # noqa: F401

    _send_event(events, {"ready": True})
    while True:
        content = _read(int.from_bytes(_read(LENGTH_BYTES), "big"))
        if not content:
            return
        child = os.fork()
        if child == 0:
            task = pickle.loads(content)  # noqa: S301 - sent by our own parent process
            _run_in_child(task, events)
        _send_event(events, {"ended": _wait(child)})


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


def _run_in_child(task: WorkerTask, events: int) -> None:
    """Run a task in this process, a child, and exit without any clean-up."""
    code = 1
    try:
        _redirect_output(task.log)
        run_task(task, lambda event: _send_event(events, event))
        code = 0
    except BaseException as error:  # noqa: BLE001 - even sys.exit ends this trial alone
        traceback.print_exc()
        _send_event(events, {"error": type(error).__name__, "message": str(error)[:1000]})
    finally:
        sys.stderr.flush()
        # The server's exit handlers must not run twice, nor TensorFlow's threads be waited for.
        os._exit(code)


def _redirect_output(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _wait(child: int) -> int:
    """Wait for the child, and kill it when the search has ended; returns its exit status."""
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        readable, _, _ = select.select([0], [], [], POLL_S)
        if readable:  # Nothing is sent while a trial runs: this is the end of the input.
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            sys.exit(1)


def _read(count: int) -> bytes:
    """Read `count` bytes; none where the input ends before."""
    content = b""
    while len(content) < count:
        part = os.read(0, count - len(content))
        if not part:
            return b""
        content += part
    return content


def _send_event(events: int, event: dict[str, Any]) -> None:
    # One write below the size up to which pipes are atomic: lines of server and child never mix.
    os.write(events, json.dumps(event).encode() + b"\n")


if __name__ == "__main__":
    main()
