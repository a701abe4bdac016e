"""Processes that were forked after TensorFlow had run: they lack its threads, and would hang."""

from __future__ import annotations

import os

from imgclf.errors import EngineError

__all__ = ["require_own_threads"]

_first: dict[str, int] = {}
"""The process in which TensorFlow ran first; a child that is forked before has none."""


def require_own_threads() -> None:
    """Refuse to run TensorFlow where a parent process has run it already.

    Raises:
        EngineError: This process was forked from one in which TensorFlow had run.
    """
    if _first.setdefault("process", os.getpid()) != os.getpid():
        raise EngineError(
            "This process was forked after TensorFlow had run, and lacks its threads: start it "
            "with multiprocessing.get_context('spawn'), or load the classifier after the fork."
        )
