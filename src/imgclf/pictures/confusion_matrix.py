"""A confusion matrix as a picture: rows true, columns predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgclf.figures.shares import shown_share
from imgclf.machine.plain_text import printable
from imgclf.pictures.drawing import Box, Drawing, Text, Tone
from imgclf.pictures.lettering import shortened, text_width
from imgclf.pictures.picture import Picture

__all__ = ["confusion_picture", "draw_confusion_matrix"]

MOST_CLASSES = 30
"""Classes up to which a notebook shows the matrix whole; of more, those with the most mistakes."""

PREFERRED_WIDTH = 640
"""Units that the cells take together, as far as their own limits allow."""

SMALLEST_CELL, LARGEST_CELL = 2, 84
SMALLEST_WITH_NUMBER = 24
SMALLEST_WITH_NAME = 11
LONGEST_NAME = 150
MARGIN = 24

DARK = 0.85
"""Strength of a cell from which its number is white, in either theme of a page."""


def confusion_picture(counts: NDArray[np.int64], names: Sequence[str]) -> Picture:
    """Draw a confusion matrix for a notebook.

    Args:
        counts: ``(num_classes, num_classes)``; rows are true classes, columns predicted ones.
        names: Names of the classes.

    Returns:
        The picture, as `draw_confusion_matrix` describes it; of many classes, those with the most
        mistakes.
    """
    counts, shown, part = _shown_part(counts, names)
    drawing = draw_confusion_matrix(counts, shown, part)
    return Picture.of(drawing, lambda figure: _plot(figure, counts, shown))


def draw_confusion_matrix(
    counts: NDArray[np.int64], names: Sequence[str], part: str = ""
) -> Drawing:
    """Draw a confusion matrix whole: rows are true classes, columns predicted ones.

    A cell is the stronger, the larger its share of its row; right answers are blue, mistakes red.
    Cells of up to 26 classes hold their counts, and up to 58 classes have their names.

    Args:
        counts: ``(num_classes, num_classes)`` numbers of images.
        names: Names of the classes, in any script.
        part: Which classes these are, as the end of the title, where they are not all.

    Returns:
        The drawing.

    Example:
        >>> drawing = draw_confusion_matrix(np.array([[145, 5], [1, 149]]), ["cat", "dog"])
        >>> [shape.text for shape in drawing.shapes if isinstance(shape, Text)][:2]
        ['Confusion matrix', '294 of 300 images right (98.0%)']
    """
    cell = max(SMALLEST_CELL, min(LARGEST_CELL, PREFERRED_WIDTH // max(1, len(names))))
    name_size = min(13.0, 0.9 * cell)
    short = [""] * len(names)
    if cell >= SMALLEST_WITH_NAME:
        short = [shortened(name, LONGEST_NAME, size=name_size) for name in names]
    widest = max((text_width(name, size=name_size) for name in short), default=0.0)
    is_turned = widest > cell - 6
    left = MARGIN + 30 + widest + 10
    top = MARGIN + 46 + 22 + (widest if is_turned else name_size) + 10
    side = cell * len(names)
    title = f"Confusion matrix{part}"
    heading = [Text(title, MARGIN, MARGIN + 16, size=18, weight=600)]
    if (total := int(counts.sum())) and not part:
        right = int(np.trace(counts))
        share = f"{right:,} of {total:,} images right ({shown_share(right / total, total)})"
        heading.append(Text(share, MARGIN, MARGIN + 36, tone="soft"))
    ends = (MARGIN + text_width(text.text, size=text.size, weight=text.weight) for text in heading)
    drawing = Drawing(title, max(left + side, *ends) + MARGIN, top + side + MARGIN)
    drawing.add(
        *heading,
        Text("predicted class", left + side / 2, MARGIN + 58, 12, "soft", anchor="middle"),
        Text(
            "true class", MARGIN + 12, top + side / 2, 12, "soft", anchor="middle", is_turned=True
        ),
    )
    for at, name in enumerate(short):
        centre = (at + 0.5) * cell
        base = centre + 0.36 * name_size
        drawing.add(Text(name, left - 10, top + base, name_size, anchor="end"))
        drawing.add(
            Text(name, left + base, top - 8, name_size, is_turned=True)
            if is_turned
            else Text(name, left + centre, top - 10, name_size, anchor="middle")
        )
    _draw_cells(drawing, counts, left, top, cell)
    return drawing


def _draw_cells(
    drawing: Drawing, counts: NDArray[np.int64], left: float, top: float, cell: int
) -> None:
    shares = _shares(counts)
    gap = 0 if cell < SMALLEST_WITH_NAME else 1 if cell < SMALLEST_WITH_NUMBER else 2
    size = min(16.0, 0.4 * cell)
    if not gap:
        drawing.add(*_frame(left - 1, top - 1, len(counts) * cell + 2))
    for row, column in np.ndindex(counts.shape):
        count = int(counts[row, column])
        if not count and not gap:
            continue
        tone, strength = _shade(float(shares[row, column]), is_right=row == column)
        x, y = left + column * cell, top + row * cell
        drawing.add(Box(x, y, cell - gap, cell - gap, tone, strength))
        if cell < SMALLEST_WITH_NUMBER or not count:
            continue
        number = f"{count:,}"
        while size > 6 and text_width(number, size=size) > cell - gap - 2:
            size -= 0.5
        ink: Tone = "paper" if strength > DARK else "ink"
        centre, base = x + (cell - gap) / 2, y + (cell - gap) / 2 + 0.36 * size
        drawing.add(Text(number, centre, base, size, ink, anchor="middle"))


def _frame(left: float, top: float, side: float) -> list[Box]:
    """Make the four edges of a square."""
    return [
        Box(left, top, side, 1, "line"),
        Box(left, top + side - 1, side, 1, "line"),
        Box(left, top, 1, side, "line"),
        Box(left + side - 1, top, 1, side, "line"),
    ]


def _shade(share: float, *, is_right: bool) -> tuple[Tone, float]:
    if not share:
        return "line", 0.35
    # Few mistakes among many answers are the ones that people look for: they stay visible.
    return ("accent", 0.12 + 0.88 * share) if is_right else ("wrong", 0.12 + 0.88 * share**0.5)


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each count's share of its row; 0 in a row without images."""
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _shown_part(
    counts: NDArray[np.int64], names: Sequence[str]
) -> tuple[NDArray[np.int64], list[str], str]:
    """Return the whole matrix, or the classes with the most mistakes of a large one, and which."""
    shown = [printable(name, is_name=True) for name in names]
    if len(shown) <= MOST_CLASSES:
        return counts, shown, ""
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    kept = np.sort(np.argsort(-mistakes, kind="stable")[:MOST_CLASSES])
    part = f" of the {MOST_CLASSES} classes with the most mistakes"
    return counts[np.ix_(kept, kept)], [shown[index] for index in kept], part


def _plot(figure: Any, counts: NDArray[np.int64], names: Sequence[str]) -> None:
    """Plot the matrix with matplotlib."""
    axes = figure.subplots()
    shares = _shares(counts)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
