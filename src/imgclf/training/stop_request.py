"""Stopping a training in good order on request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

__all__ = ["StopOnRequest"]


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
