"""How TensorFlow is started: fast on every processor, and without notes on standard error."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "prepare_tensorflow", "silenced_logger", "silenced_stderr", "without_notes",
    "without_retracing_notes",
]  # fmt: skip

NOTE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|[IW]\d{4} \d\d:\d\d:\d+\.\d+ .*\.cc:\d+\]"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] "
    rb"|To enable the following instructions: "
)
"""How the lines begin that TensorFlow's C++ code prints while it is imported: no errors."""


def prepare_tensorflow() -> None:
    """Turn on TensorFlow's oneDNN kernels and turn off its log, where it is not running yet.

    TensorFlow itself turns them on only for some Intel processors; on AMD's with AVX2 they make the
    training step of a small convolutional network 2 to 3 times as fast. A value that the user has
    set stays as it is. What its C++ code logs on standard error is turned off alike: errors come as
    exceptions.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class _Silence:
    """Standard error led nowhere for as long as at least one thread asks for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked = 0
        self.kept: int | None = None
        self.caught = -1

    def begin(self) -> None:
        with self.lock:
            self.asked += 1
            if self.asked > 1:
                return
            if sys.stderr is not None:
                sys.stderr.flush()
            try:
                self.kept = os.dup(2)
            except OSError:  # It is closed: nothing can be printed there.
                return
            self.caught = self.open()
            os.dup2(self.caught, 2)

    def open(self) -> int:
        """Open what takes the lines."""
        return os.open(os.devnull, os.O_WRONLY)

    def close(self, caught: int) -> None:
        """Close it again, standard error being what it was."""
        os.close(caught)

    def end(self) -> None:
        with self.lock:
            self.asked -= 1
            if self.asked or self.kept is None:
                return
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(self.kept, 2)
            os.close(self.kept)
            self.kept = None
            self.close(self.caught)


class _Sieve(_Silence):
    """Standard error without TensorFlow's notes; other lines come when it ends."""

    def open(self) -> int:
        file, path = tempfile.mkstemp(prefix="imgclf-")
        os.unlink(path)  # noqa: PTH108 - it lives as long as it is open
        return file

    def close(self, caught: int) -> None:
        os.lseek(caught, 0, os.SEEK_SET)
        with open(caught, "rb") as file:
            for line in file:
                if NOTE.match(line) is None:
                    os.write(2, line)


_SILENCE = _Silence()
_SIEVE = _Sieve()


@contextmanager
def silenced_logger(name: str) -> Iterator[None]:
    """Let a logger of another library, and those below it, say nothing for a while.

    Args:
        name: The logger's name.
    """
    logger = logging.getLogger(name)
    before = logger.level, logger.disabled
    logger.setLevel(logging.CRITICAL + 1)
    logger.disabled = True  # absl's own logger heeds nothing else
    try:
        yield
    finally:
        logger.setLevel(before[0])
        logger.disabled = before[1]


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Discard what C code prints on standard error; threads may do so at the same time.

    TensorFlow prints several lines while it is imported, whatever its log level says.
    """
    _SILENCE.begin()
    try:
        yield
    finally:
        _SILENCE.end()


@contextmanager
def without_notes() -> Iterator[None]:
    """Keep TensorFlow's notes from standard error while it may be imported; other lines come later.

    Does nothing where TensorFlow is there already.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    _SIEVE.begin()
    try:
        yield
    finally:
        _SIEVE.end()


@contextmanager
def without_retracing_notes() -> Iterator[None]:
    """Keep TensorFlow from warning of functions that are traced anew for each network.

    It counts calls of Keras' training step, whatever the network is: training several in turn is
    no mistake.
    """
    logger = logging.getLogger("tensorflow")

    def is_another(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in str(record.msg)

    logger.addFilter(is_another)
    try:
        yield
    finally:
        logger.removeFilter(is_another)
