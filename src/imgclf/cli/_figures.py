"""Figures in the terminal: confusion matrix, most confused classes, learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgclf.machine.plain_text import printable
from imgclf.machine.terminal import escape

if TYPE_CHECKING:
    from imgclf.evaluation.results import Evaluation

__all__ = ["confusion_table", "curve_line", "print_confusion", "print_learning_curve"]

MOST_CLASSES = 12
"""Classes up to which the confusion matrix fits a terminal; with more, only pairs are listed."""

NAME_CELLS = (20, 8)
"""Widest class name beside the matrix; the second where the terminal is narrow."""

MOST_PAIRS = 5

UNLIMITED = 10_000
"""Cells of a terminal in which every table fits: what a table takes is measured in it."""

LEVELS = "▁▂▃▄▅▆▇█"

CURVE_CELLS = 50


def print_confusion(console: Console, evaluation: Evaluation) -> None:
    """Print the confusion matrix, where it fits, and the most confused classes."""
    from imgclf.figures.confusion import most_confused_pairs

    pairs = most_confused_pairs(evaluation.metrics.confusion, k=MOST_PAIRS)
    if not pairs:
        return
    console.print()
    if len(evaluation.class_names) <= MOST_CLASSES:
        _print_matrix(console, evaluation)
    if len(evaluation.class_names) == 2:  # The matrix says it all.
        return
    console.print("[bold]Most confused[/]")
    for pair in pairs:
        true = escape(evaluation.class_names[pair.true_class])
        predicted = escape(evaluation.class_names[pair.predicted_class])
        console.print(f"  {true} taken for {predicted}: {pair.num_images}")


def _print_matrix(console: Console, evaluation: Evaluation) -> None:
    """Print the matrix, with shorter names where the terminal is narrow; never cut a count."""
    tables = [confusion_table(evaluation, cells) for cells in NAME_CELLS]
    if not _has_numbers(evaluation.class_names):
        tables.insert(0, confusion_table(evaluation, named=True))
    unlimited = console.options.update(max_width=UNLIMITED)
    for table in tables:
        if console.measure(table, options=unlimited).minimum <= console.width:
            console.print("[bold]Confusion matrix[/]  (rows true, columns predicted)")
            console.print(table)
            return


def confusion_table(
    evaluation: Evaluation, name_cells: int = NAME_CELLS[0], *, named: bool = False
) -> Table:
    """Draw the confusion matrix: a row for each true class, brighter where more images are.

    Args:
        evaluation: The evaluation.
        name_cells: Widest name of a class, its number included.
        named: Whether columns have the classes' names, rather than numbers.

    Returns:
        The table.
    """
    names, counts = evaluation.class_names, evaluation.metrics.confusion
    shown = [printable(name, is_name=True) for name in names]
    signs = shown if named else _column_signs(names)
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("", overflow="ellipsis", no_wrap=True, max_width=name_cells)
    widest = max(map(len, signs))
    for sign in signs:
        heading = Text(sign)
        table.add_column(heading, justify="right", no_wrap=True, min_width=heading.cell_len)
    for index, (name, row) in enumerate(zip(shown, counts.tolist(), strict=True)):
        cells = [_cell(count, sum(row), column == index) for column, count in enumerate(row)]
        table.add_row(Text(name if named else f"{signs[index]:>{widest}} {name}"), *cells)
    return table


def _column_signs(names: Sequence[str]) -> list[str]:
    """Number the columns; letters where the classes are numbers, which nobody could tell apart."""
    if _has_numbers(names) and len(names) <= len(ascii_uppercase):
        return list(ascii_uppercase[: len(names)])
    return [str(number) for number in range(1, len(names) + 1)]


def _has_numbers(names: Sequence[str]) -> bool:
    return any(name.strip().isdecimal() for name in names)


def _cell(count: int, row_sum: int, is_right: bool) -> Text:
    if not count:
        return Text("·", style="dim")
    if is_right:
        return Text(str(count), style="green")
    return Text(str(count), style="bold red" if count * 10 >= row_sum else "yellow")


def print_learning_curve(console: Console, history: Mapping[str, Sequence[float]]) -> None:
    """Print the learning curves of validation loss and accuracy, each as one line of blocks."""
    shown = [(name, history[name]) for name in _curve_names(history)]
    if not shown or len(shown[0][1]) < 2:
        return
    console.print()
    console.print("[bold]Learning curves[/]  (validation)")
    for name, values in shown:
        label = name.rpartition("_")[2]  # Of any kind of accuracy: a line has 80 cells at most.
        console.print(f"  {label:9}{values[0]:7.3f} {curve_line(values)} {values[-1]:.3f}")


def _curve_names(history: Mapping[str, Sequence[float]]) -> list[str]:
    wanted = ("val_loss", "val_accuracy", "val_binary_accuracy", "val_categorical_accuracy")
    return [name for name in wanted if name in history]


def curve_line(values: Sequence[float], cells: int = CURVE_CELLS) -> str:
    """Draw numbers as blocks of rising height, from the least to the greatest.

    Args:
        values: The numbers in order; more than `cells` are thinned out evenly.
        cells: Widest line.

    Returns:
        One character for each number shown; ``?`` for what is not a finite number.
    """
    if len(values) > cells:
        step = (len(values) - 1) / (cells - 1)
        values = [values[round(index * step)] for index in range(cells)]
    finite = [value for value in values if abs(value) < float("inf")]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    return "".join(_level(value, low, high) for value in values)


def _level(value: float, low: float, high: float) -> str:
    if not abs(value) < float("inf"):  # NaN compares as false
        return "?"
    share = (value - low) / (high - low) if high > low else 0.5
    return LEVELS[min(len(LEVELS) - 1, int(share * len(LEVELS)))]
