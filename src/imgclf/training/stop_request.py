"""Stopping a training in good order on request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

__all__ = ["AbandonOnRequest", "AbandonedError", "StopOnRequest"]


class StopOnRequest(keras.callbacks.Callback):
    """Ends a training after the step in which a stop was requested.

    Keras still validates and ends the epoch, so the best weights are known.

    Attributes:
        stopped: Whether that has happened.
    """

    def __init__(self, requested: Callable[[], bool]) -> None:
        """Ask `requested` after each step."""
        super().__init__()
        self._requested = requested
        self.stopped = False

    def on_train_batch_end(
        self,
        batch: int,  # noqa: ARG002 - Keras names it
        logs: Any = None,  # noqa: ARG002
    ) -> None:
        """Stop if that was requested."""
        if self.ask():
            self.model.stop_training = True

    def ask(self) -> bool:
        """Tell, between trainings, whether a stop was requested."""
        self.stopped = self.stopped or self._requested()
        return self.stopped


class AbandonedError(Exception):
    """A training was given up in the middle: what it was to improve on is kept."""


class AbandonOnRequest(StopOnRequest):
    """Gives a training up as soon as a stop is requested, also between steps.

    For a training whose unfinished result is of no use to anybody.
    """

    def ask(self) -> bool:
        """Tell that nothing was requested.

        Raises:
            AbandonedError: A stop was requested.
        """
        if super().ask():
            raise AbandonedError
        return False
