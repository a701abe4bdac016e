"""The progress of a training, as a Keras callback."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras

from imgclf.machine.display import Display, Verbose, open_display

__all__ = ["TrainingProgress", "drawn_progress"]


@contextmanager
def drawn_progress(verbose: Verbose, batch_size: int) -> Iterator[list[keras.callbacks.Callback]]:
    """Show the progress of a training.

    Args:
        verbose: What is shown, or where.
        batch_size: Images per step.

    Yields:
        The callbacks that show it.
    """
    with open_display(verbose) as display:
        if display is None:
            yield []
            return
        try:
            yield [TrainingProgress(display, batch_size)]
        finally:
            display.clear()


class TrainingProgress(keras.callbacks.Callback):
    """Shows epoch, images per second, loss, accuracy and the time left.

    Each epoch leaves one line; a bar below them shows the running one.
    """

    def __init__(self, display: Display, batch_size: int) -> None:
        """Draw on `display`; `batch_size` turns steps into images."""
        super().__init__()
        self._display = display
        self._batch_size = batch_size
        self._epoch = 0
        self._epoch_began_s = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        """Name the epoch."""
        self._epoch, self._epoch_began_s = epoch, time.monotonic()
        self._show(0, "")

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Move the bar."""
        seconds = max(time.monotonic() - self._epoch_began_s, 1e-6)
        rate = (batch + 1) * self._batch_size / seconds
        self._show(batch + 1, f"{rate:,.0f} img/s  {_figures(logs, '')}")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Leave the epoch's line."""
        parts = [f"Epoch {epoch + 1:>3}/{self.params['epochs']}  {_figures(logs, '')}"]
        if "val_loss" in (logs or {}):
            parts.append(f"validation {_figures(logs, 'val_')}")
        parts.append(f"{time.monotonic() - self._epoch_began_s:.1f} s")
        self._display.say(" | ".join(parts))

    def _show(self, done_steps: int, figures: str) -> None:
        epochs, steps = self.params["epochs"], self.params.get("steps") or 0
        done = self._epoch + done_steps / steps if steps else 0
        total = epochs if steps else None
        self._display.show(f"Epoch {self._epoch + 1}/{epochs}", done, total, figures)


def _figures(logs: Mapping[str, float] | None, prefix: str) -> str:
    """Write loss and accuracy; the loss of an epoch without a step is left out."""
    loss = (logs or {}).get(f"{prefix}loss", math.nan)
    accuracy = (logs or {}).get(f"{prefix}accuracy", math.nan)
    parts = [f"loss {loss:.3f}" if math.isfinite(loss) else f"loss {loss}"]
    return " ".join(parts + ([f"acc {accuracy:.3f}"] if math.isfinite(accuracy) else []))
