"""The progress of a search: a live table on a terminal, otherwise one line per trial."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from imgclf.figures.shares import shown_share
from imgclf.machine.terminal import Terminal, escape
from imgclf.tuning.candidates import Candidate
from imgclf.tuning.search import SearchCallbacks
from imgclf.tuning.search_spec import SearchSpec
from imgclf.tuning.space import Space
from imgclf.tuning.trials import Trial, best_trial, completed, rank

__all__ = ["SearchDisplay", "candidate_text", "fitting_names", "shown_value", "trial_line"]

MOST_SHOWN = 10
"""Number of the best trials in the live table; trials.csv has all of them."""

MOST_OF_A_NODE = 20
"""Characters of a node's name."""

GAP = 2
"""Spaces between columns."""

FIXED_WIDTH = len("trial") + len("epoch 10/10 99.9%") + 2 * GAP
"""Characters of the columns that are always shown."""


@dataclass(slots=True)
class _TrialProgress:
    """A running trial and its latest epoch."""

    candidate: Candidate
    epoch: int = 0
    val_accuracy: float | None = None
    node: str = ""


class SearchDisplay:
    """Draws the progress of a search; a context manager that returns the search's callbacks."""

    def __init__(
        self,
        spec: SearchSpec,
        trials: tuple[Trial, ...],
        console: Console | None = None,
    ) -> None:
        """Prepare the display.

        Args:
            spec: The search.
            trials: Trials of earlier searches in the study.
            console: Where to draw; None is standard error.
        """
        self._spec = spec
        self._names = spec.space.names
        self._trials = trials
        self._console = console or Terminal(stderr=True)
        self._running: dict[int, _TrialProgress] = {}
        self._began_s = time.monotonic()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> SearchCallbacks:
        """Start drawing."""
        if self._trials:
            self._console.print(f"Continuing after {len(self._trials)} finished trials")
        if self._console.is_terminal:
            self._live.start()
        return SearchCallbacks(self._begin, self._place, self._epoch, self._end, self._draw)

    def __exit__(self, *_exception: object) -> None:
        """Remove the live table."""
        self._live.stop()

    def _begin(self, number: int, candidate: Candidate) -> None:
        self._running[number] = _TrialProgress(candidate)

    def _place(self, number: int, node: str) -> None:
        self._running[number].node = node

    def _epoch(self, number: int, epoch: int, val_accuracy: float) -> None:
        self._running[number].epoch = epoch
        self._running[number].val_accuracy = val_accuracy

    def _end(self, trial: Trial, trials: tuple[Trial, ...]) -> None:
        self._running.pop(trial.number, None)
        self._trials = trials
        if not self._console.is_terminal:
            line = trial_line(trial, trials, self._spec.space)
            self._console.print(escape(line), soft_wrap=True)

    def _draw(self) -> None:
        if self._console.is_terminal:
            self._live.update(Group(self._table(), Text(self._status())), refresh=True)

    def _table(self) -> Table:
        table = Table(box=None, header_style="bold", padding=(0, GAP, 0, 0))
        shown = rank(self._trials)[:MOST_SHOWN]
        candidates = [trial.candidate for trial in shown]
        candidates += [progress.candidate for progress in self._running.values()]
        values = [{name: item.shown(name) for name in self._names} for item in candidates]
        nodes = self._nodes()
        width = (
            self._console.width - FIXED_WIDTH - sum(max(map(len, cells)) + GAP for cells in nodes)
        )
        names, left_out = fitting_names(self._names, values, width)
        for name in ("trial", "accuracy", *(cells[0] for cells in nodes), *names):
            table.add_column(escape(name), no_wrap=True)
        if left_out:
            table.caption = f"no room for {escape(', '.join(left_out))}"
        best = best_trial(self._trials)
        for trial in shown:
            score = (
                shown_share(trial.score, digits=2) if trial.status == "completed" else trial.status
            )
            style = "green" if trial is best else "dim" if trial.status != "completed" else ""
            cells = [escape(shown_value(trial.candidate.shown(name))) for name in names]
            table.add_row(str(trial.number), score, *("" for _ in nodes), *cells, style=style)
        for row, (number, progress) in enumerate(self._running.items(), start=1):
            epochs = progress.candidate.epochs * self._spec.settings.executions
            score = f"epoch {progress.epoch}/{epochs}"
            if progress.val_accuracy is not None:
                score += f" {shown_share(progress.val_accuracy)}"
            cells = [escape(shown_value(progress.candidate.shown(name))) for name in names]
            own = (escape(column[row]) for column in nodes)
            table.add_row(str(number), score, *own, *cells, style="cyan")
        return table

    def _nodes(self) -> list[list[str]]:
        """Return the column of nodes, title first, where trials run on a cluster; else none."""
        names = [progress.node[:MOST_OF_A_NODE] for progress in self._running.values()]
        return [["node", *(name or "waiting" for name in names)]] if any(names) else []

    def _status(self) -> str:
        limits = self._spec.limits
        elapsed_s = time.monotonic() - self._began_s
        parts = [f"{len(self._trials)} of at most {limits.max_trials} trials"]
        best = best_trial(self._trials)
        if best is not None:
            parts.append(f"best {shown_share(best.score, digits=2)} (trial {best.number})")
        durations = [trial.duration_s for trial in completed(self._trials)]
        if durations:
            left = max(0, limits.max_trials - len(self._trials))
            left_s = left * statistics.median(durations) / max(1, len(self._running))
            if limits.budget_s is not None:
                left_s = min(left_s, max(0.0, limits.budget_s - elapsed_s))
            parts.append(f"about {left_s / 60:.0f} min left")
        return ", ".join(parts)


def trial_line(trial: Trial, trials: tuple[Trial, ...], space: Space) -> str:
    """Return one line of plain text about a trial."""
    what = candidate_text(trial.candidate, space)
    if trial.status != "completed":
        return f"Trial {trial.number} {trial.status}: {trial.reason}  ({what})"
    best = best_trial(trials)
    assert best is not None
    spread = "" if trial.deviation is None else f" +- {shown_share(trial.deviation, digits=2)}"
    return (
        f"Trial {trial.number}: {shown_share(trial.score, digits=2)}{spread}  ({what}; "
        f"{trial.duration_s:.1f} s; best {shown_share(best.score, digits=2)}, trial {best.number})"
    )


def candidate_text(candidate: Candidate, space: Space) -> str:
    """Return a candidate's searched values as ``name=value, ...``."""
    pairs = [(name, candidate.shown(name)) for name in space.names]
    return ", ".join(f"{name}={shown_value(value)}" for name, value in pairs if value is not None)


def fitting_names(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]], width: int
) -> tuple[list[str], list[str]]:
    """Choose as many of a table's columns as fit without line breaks.

    Args:
        names: Names of the columns, the most important first.
        rows: Their values.
        width: Available width, in characters.

    Returns:
        The columns that fit, and the others.
    """
    shown: list[str] = []
    left_out: list[str] = []
    for name in names:
        texts = [name, *(shown_value(row[name]) for row in rows)]
        needed = max(map(len, texts)) + GAP
        fits = needed <= width and not left_out
        (shown if fits else left_out).append(name)
        width -= needed if fits else 0
    return shown, left_out


def shown_value(value: Any) -> str:
    """Return an option's value as short text."""
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
