"""The progress of a training, drawn on a terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from imgclf.machine.terminal import Terminal

__all__ = ["TrainingProgress", "drawn_progress"]


@contextmanager
def drawn_progress(
    verbose: int | bool, batch_size: int
) -> Iterator[list[keras.callbacks.Callback]]:
    """Draw the progress of a training on standard error.

    Args:
        verbose: Whether it is drawn.
        batch_size: Images per step.

    Yields:
        The callbacks that draw it.
    """
    if not verbose:
        yield []
        return
    progress = TrainingProgress(Terminal(stderr=True), batch_size)
    try:
        yield [progress]
    finally:
        progress.close()


class TrainingProgress(keras.callbacks.Callback):
    """Draws epoch, step, images per second, loss, accuracy and the time left.

    Each epoch leaves one line; a bar below them shows the running one. A console that is no
    terminal gets the lines alone.
    """

    def __init__(self, console: Console, batch_size: int) -> None:
        """Draw on `console`; `batch_size` turns steps into images."""
        super().__init__()
        self._console = console
        self._batch_size = batch_size
        self._epoch = 0
        self._epoch_began_s = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            auto_refresh=False,
        )
        self._live: Live | None = None
        self._drawn_s = 0.0

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        """Show the bar."""
        if self._live is not None:
            return  # The rest of an interrupted epoch is done; the others follow.
        total = self.params["epochs"] if self._steps() else None
        self._task = self._bar.add_task("", total=total, figures="")
        if self._console.is_terminal:
            self._live = Live(self._bar, console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        """Name the epoch."""
        self._epoch, self._epoch_began_s = epoch, time.monotonic()
        self._bar.update(self._task, description=f"Epoch {epoch + 1}/{self.params['epochs']}")

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Move the bar, ten times a second at the most."""
        now = time.monotonic()
        if self._live is None or now - self._drawn_s < 0.1:
            return
        self._drawn_s = now
        rate = (batch + 1) * self._batch_size / (now - self._epoch_began_s)
        figures = f"{rate:,.0f} img/s  {_figures(logs, '')}"
        done = self._epoch + (batch + 1) / self._steps() if self._steps() else 0
        self._bar.update(self._task, completed=done, figures=figures)
        self._live.refresh()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Print the epoch's line."""
        parts = [f"Epoch {epoch + 1:>3}/{self.params['epochs']}  {_figures(logs, '')}"]
        if "val_loss" in (logs or {}):
            parts.append(f"validation {_figures(logs, 'val_')}")
        parts.append(f"{time.monotonic() - self._epoch_began_s:.1f} s")
        self._console.print(" | ".join(parts), highlight=False)

    def close(self) -> None:
        """Remove the bar."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _steps(self) -> int:
        return self.params.get("steps") or 0


def _figures(logs: Mapping[str, float] | None, prefix: str) -> str:
    """Write loss and accuracy; the loss of an epoch without a step is left out."""
    loss = (logs or {}).get(f"{prefix}loss", math.nan)
    accuracy = (logs or {}).get(f"{prefix}accuracy", math.nan)
    parts = [f"loss {loss:.3f}" if math.isfinite(loss) else f"loss {loss}"]
    return " ".join(parts + ([f"acc {accuracy:.3f}"] if math.isfinite(accuracy) else []))
