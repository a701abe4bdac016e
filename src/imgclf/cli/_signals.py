"""Ctrl-C and SIGTERM: they end the process at once, or let a training save first."""

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
    """Records the first signal instead of raising, so that a training can save its state.

    A second signal raises at once. Signals are recorded after `arm`; before it they raise, because
    there is nothing to save yet.

    Attributes:
        exit_code: Exit code of the recorded signal; None before it.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None

    def arm(self) -> None:
        """Start recording signals."""
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
