"""Ctrl-C in a training that was started from Python: it ends in good order, then interrupts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interruption", "held_interruption"]


class Interruption:
    """The first Ctrl-C is noted, so that a training can keep what it has; a second one raises.

    Nothing is held before `arm`, because there is nothing to keep yet; nor outside the main thread,
    nor where the program has a handler of its own.
    """

    def __init__(self) -> None:
        self._has_come = False
        self._is_armed = False

    def arm(self) -> None:
        """Begin to note Ctrl-C."""
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._is_armed = True

    def disarm(self) -> None:
        """Let Ctrl-C raise again."""
        if self._is_armed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._is_armed = False

    def has_come(self) -> bool:
        """Tell whether Ctrl-C was pressed."""
        return self._has_come

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._has_come:
            signal.default_int_handler(number, frame)
        self._has_come = True


@contextmanager
def held_interruption() -> Iterator[Interruption]:
    """Give what notes Ctrl-C once it is armed, and let Ctrl-C raise again at the end."""
    interruption = Interruption()
    try:
        yield interruption
    finally:
        interruption.disarm()
