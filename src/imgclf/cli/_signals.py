"""Ctrl-C and SIGTERM: at once by default, in good order while a network is being trained."""

from __future__ import annotations

import signal
from types import FrameType

__all__ = ["StopSwitch", "Stopped", "install_handlers"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Ctrl-C or a request to terminate; carries the exit code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class StopSwitch:
    """Notes the first signal instead of raising, so that a training can save what it has.

    A second signal raises at once. Signals count from `arm` on; before it they raise, because
    nothing is there yet that could be saved.

    Attributes:
        exit_code: Of the signal that was noted; None before it.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None

    def arm(self) -> None:
        """Begin to note signals."""
        for number in _SIGNALS:
            signal.signal(number, self._note)

    def is_thrown(self) -> bool:
        """Tell whether a signal has come."""
        return self.exit_code is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.is_thrown():
            _raise(number, frame)
        self.exit_code = 128 + number


def install_handlers() -> None:
    """Let the signals raise `Stopped`."""
    for number in _SIGNALS:
        signal.signal(number, _raise)


def _raise(number: int, _frame: FrameType | None) -> None:
    raise Stopped(128 + number)
