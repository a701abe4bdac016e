"""Processes that were forked after a runtime had run: they lack its threads, and would hang."""

from __future__ import annotations

import os

from imgclf.errors import EngineError

__all__ = ["require_own_threads", "require_same_process"]

_first: dict[str, int] = {}
"""The process in which TensorFlow ran first; a child that is forked before has none."""


def require_own_threads() -> None:
    """Refuse to run TensorFlow where a parent process has run it already.

    Raises:
        EngineError: This process was forked from one in which TensorFlow had run.
    """
    require_same_process(_first.setdefault("process", os.getpid()), "TensorFlow")


def require_same_process(process: int, runtime: str) -> None:
    """Refuse to run a network that a parent process has started.

    Args:
        process: Number of the process in which it was started.
        runtime: What runs it, for the message.

    Raises:
        EngineError: This process is another one.
    """
    if process != os.getpid():
        raise EngineError(
            f"This process was forked after {runtime} had run, and lacks its threads: start it "
            "with multiprocessing.get_context('spawn'), or load the classifier after the fork."
        )
