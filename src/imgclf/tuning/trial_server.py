"""A process that runs trials, each in a child of its own.

Started as ``python -m imgclf.tuning.trial_server`` by `imgclf.tuning.workers`. It imports Keras once and
runs no operation, so that a child forked from it can: the seconds of the import are paid once, a
trial that crashes takes nothing with it, and all memory of a trial goes back with its process.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import sys
import traceback
from typing import Any

__all__ = ["main"]

POLL_S = 0.05
"""How often the server looks whether the search is still there and the trial has ended."""

LENGTH_BYTES = 8
"""An order is sent as its length and its bytes."""


def main() -> None:
    """Run one ordered trial after the other until standard input ends."""
    answers = os.dup(1)
    os.dup2(2, 1)  # Whatever a library prints must not mix with the answers.
    import imgclf.tuning.refit  # noqa: F401 - so that the children need not import it

    _answer(answers, {"ready": True})
    while True:
        order = _read(int.from_bytes(_read(LENGTH_BYTES), "big"))
        if not order:
            return
        child = os.fork()
        if child == 0:
            _run(pickle.loads(order), answers)  # noqa: S301 - sent by our own parent process
        _answer(answers, {"ended": _wait(child)})


def _run(order: Any, answers: int) -> None:
    """Run a trial in this process, which is the child, and leave without any clearing up."""
    code = 1
    try:
        _redirect_output(order.log)
        order.run(lambda answer: _answer(answers, answer))
        code = 0
    except BaseException as error:  # noqa: BLE001 - even sys.exit is this trial's alone
        traceback.print_exc()
        _answer(answers, {"error": type(error).__name__, "message": str(error)[:1000]})
    finally:
        sys.stderr.flush()
        # Handlers of the server must not run twice, and TensorFlow's threads not be waited for.
        os._exit(code)


def _redirect_output(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _wait(child: int) -> int:
    """Wait for the child, and end it when the search has gone; returns its exit status."""
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
    """Read so many bytes; fewer only where the input ends."""
    content = b""
    while len(content) < count:
        part = os.read(0, count - len(content))
        if not part:
            return b""
        content += part
    return content


def _answer(answers: int, answer: dict[str, Any]) -> None:
    # One write of less than a pipe's atomic size: lines of server and child never mix.
    os.write(answers, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
