"""The consoles, the progress bar of a scan, and the tables that several verbs share."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from imgclf.figures.shares import shown_range, shown_share
from imgclf.machine.plain_text import printable
from imgclf.machine.terminal import IN_PLAIN_TEXT, Terminal, escape, shell_word

if TYPE_CHECKING:
    from rich.console import Console

    from imgclf.data.division.samples import Quarantined
    from imgclf.evaluation.results import Evaluation
    from imgclf.figures.metrics import ClassificationMetrics

__all__ = [
    "ScanBar",
    "accept_any_character",
    "accuracy_line",
    "class_table",
    "comparison_table",
    "csv_path",
    "error_console",
    "print_csv",
    "print_json",
    "print_line",
    "print_quarantined",
    "print_verdict",
    "result_console",
    "shown_path",
    "typed_path",
]


def result_console() -> Console:
    """Return the console for results, on standard output."""
    return Terminal()


def error_console() -> Console:
    """Return the console for progress and errors, on standard error."""
    return Terminal(stderr=True)


def accept_any_character() -> None:
    """Write what the encoding of standard output or error lacks in characters that it has."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=IN_PLAIN_TEXT)


def print_line(console: Console, text: str, *, before: str = "", style: str = "") -> None:
    """Print a message as one line, whatever is in it.

    Args:
        console: Where to.
        text: The message.
        before: Markup that stands before it.
        style: Of the message.
    """
    console.print(before + escape(text), style=style, soft_wrap=not console.is_terminal)


def print_json(value: Any) -> None:
    """Print a value as JSON, for programs: no styles, no wrapping.

    JSON writes what would steer a terminal as escapes, all of it but the character for delete.
    """
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=True)
    sys.stdout.write(text.replace("\x7f", "\\u007f") + "\n")


def print_csv(rows: Iterable[Sequence[object]]) -> None:
    """Print rows as CSV, for programs: as they are; what a terminal shows cannot steer it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow(row)
        line = text.getvalue()
        sys.stdout.write(printable(line) if sys.stdout.isatty() else line)
        text.seek(0)
        text.truncate()


class ScanBar:
    """A progress bar of the scan; it draws nothing where the console is no terminal.

    Call it with the number of files done and in all; close it before anything else is drawn.
    """

    def __init__(self, console: Console) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("Reading images"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, rate="", visible=False)

    def __enter__(self) -> ScanBar:
        """Start drawing."""
        self._bar.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Remove the bar."""
        self.close()

    def __call__(self, done: int, total: int) -> None:
        """Move the bar."""
        speed = self._bar.tasks[0].speed
        rate = f"{speed:,.0f} img/s" if speed else ""
        self._bar.update(self._task, completed=done, total=total, rate=rate, visible=True)

    def close(self) -> None:
        """Remove the bar; a second call does nothing."""
        self._bar.stop()


def print_quarantined(console: Console, quarantined: Sequence[Quarantined]) -> None:
    """Name the files that could not be used."""
    from imgclf.data.division.samples import left_out_lines  # heavy

    for line in left_out_lines(quarantined):
        print_line(console, line, style="yellow")


def print_verdict(console: Console, evaluation: Evaluation) -> None:
    """Say in words what the figures mean, before the figures."""
    first, *others = evaluation.verdict
    console.print(f"[bold]{escape(first)}[/]", highlight=False)
    if others:
        console.print(escape(" ".join(others)), highlight=False)
    console.print()


def accuracy_line(evaluation: Evaluation) -> str:
    """Write the headline: accuracy, its interval, number of images, and the baselines."""
    metrics = evaluation.metrics
    interval, of = metrics.accuracy_interval, metrics.num_images
    usual = evaluation.class_names[metrics.majority.class_index]
    return (
        f"[bold]Accuracy {shown_share(metrics.accuracy, of)}[/]  (95% interval "
        f"{shown_range(interval.low, interval.high, of)}, {metrics.num_correct} of {of} images)\n"
        f'For comparison: always answering "{escape(usual)}" is right for '
        f"{shown_share(metrics.majority.accuracy, of)}"
        + _nearest_mean(evaluation.nearest_mean_accuracy, of)
    )


def _nearest_mean(accuracy: float | None, of: int) -> str:
    if accuracy is None:
        return "."
    return f",\ncomparing tiny thumbnails for {shown_share(accuracy, of)}."


def class_table(metrics: ClassificationMetrics, most: int = 50) -> Table:
    """Draw recall, precision and count of each class; the worst ones where there are many."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("class", overflow="fold")
    for name in ("recall", "precision", "F1", "images"):
        table.add_column(name, justify="right")
    classes = metrics.classes
    if len(classes) > most:
        classes = tuple(sorted(classes, key=lambda item: (item.recall, item.class_name))[:most])
        table.title = f"The {most} classes of lowest recall"
    for item in classes:
        recall = shown_share(item.recall) if item.support else "-"
        f1 = f"{item.f1:.3f}" if item.f1 == item.f1 else "-"
        table.add_row(
            escape(item.class_name), recall, shown_share(item.precision), f1, str(item.support)
        )
    return table


def comparison_table(before: ClassificationMetrics, after: ClassificationMetrics) -> Table:
    """Draw the recall of each class that an earlier classifier knew, before and after."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("class known before", overflow="fold")
    for name in ("recall before", "after"):
        table.add_column(name, justify="right")
    recalls = {item.class_name: item.recall for item in after.classes}
    for item in before.classes:
        if item.support:
            now = shown_share(recalls[item.class_name])
            table.add_row(escape(item.class_name), shown_share(item.recall), now)
    return table


def shown_path(path: str | Path) -> str:
    """Return a path relative to the working directory; undecodable bytes are escaped."""
    try:
        short = str(Path(path).relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):  # Elsewhere, or the current folder was removed.
        short = str(path)
    return short.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def csv_path(path: str | Path) -> str:
    """Return a path for a CSV file: as `shown_path`, and never what a spreadsheet would run."""
    short = shown_path(path)
    return f"./{short}" if short.startswith(("=", "+", "-", "@")) else short


def typed_path(path: str | Path) -> str:
    """Return a path as one word of a command that is typed from here."""
    try:
        short = str(Path(path).relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):
        short = str(path)
    return shell_word(f"./{short}" if short.startswith("-") else short)
