"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imgclf.drawing.canvas import ACCENT, INK, LINE, PAPER, SECOND, SOFT, Canvas, Colour, mixed
from imgclf.figures.predictions import ratio

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["draw_confusion_matrix"]

PREFERRED_WIDTH = 640
"""Units that the cells take together, as far as their own limits allow."""

SMALLEST_CELL, LARGEST_CELL = 2, 84
SMALLEST_WITH_NUMBER = 24
SMALLEST_WITH_NAME = 11
LONGEST_NAME = 150
MARGIN = 24


def draw_confusion_matrix(confusion: NDArray[np.int64], class_names: Sequence[str]) -> Image.Image:
    """Draw a confusion matrix: rows are true classes, columns predicted ones.

    A cell is the darker, the larger its share of its row; right answers are blue, mistakes red.
    Cells of up to 26 classes hold their counts, and up to 58 classes have their names.

    Args:
        confusion: ``(num_classes, num_classes)`` numbers of images.
        class_names: Names of the classes, in any script.

    Returns:
        An RGB picture, sharp at twice the size of its texts.

    Example:
        >>> image = draw_confusion_matrix(np.array([[145, 5], [1, 149]]), ["cat", "dog"])
        >>> image.mode, image.width > 400
        ('RGB', True)
    """
    count = len(class_names)
    cell = max(SMALLEST_CELL, min(LARGEST_CELL, PREFERRED_WIDTH // max(1, count)))
    name_size = min(13.0, 0.9 * cell)
    measure = Canvas(1, 1)
    names = [""] * count
    if cell >= SMALLEST_WITH_NAME:
        names = [measure.shortened(name, LONGEST_NAME, size=name_size) for name in class_names]
    widest = max((measure.text_width(name, size=name_size) for name in names), default=0.0)
    turned = widest > cell - 6
    left = MARGIN + 30 + widest + 10
    top = MARGIN + 46 + 22 + (widest if turned else name_size) + 10
    side = cell * count
    canvas = Canvas(max(left + side + MARGIN, 430), top + side + MARGIN)
    _draw_title(canvas, confusion)
    middle = left + side / 2
    canvas.text("predicted class", middle, MARGIN + 58, colour=SOFT, size=12, anchor="middle")
    canvas.text(
        "true class", MARGIN + 12, top + side / 2,
        colour=SOFT, size=12, anchor="middle", turned=True,
    )  # fmt: skip
    for at, name in enumerate(names):
        centre = (at + 0.5) * cell
        base = centre + 0.36 * name_size
        canvas.text(name, left - 10, top + base, size=name_size, anchor="end")
        if turned:
            canvas.text(name, left + base, top - 8, size=name_size, turned=True)
        else:
            canvas.text(name, left + centre, top - 10, size=name_size, anchor="middle")
    _draw_cells(canvas, confusion, left, top, cell)
    return canvas.image()


def _draw_title(canvas: Canvas, confusion: NDArray[np.int64]) -> None:
    total, right = int(confusion.sum()), int(np.trace(confusion))
    canvas.text("Confusion matrix", MARGIN, MARGIN + 16, size=18, weight=600)
    if total:
        share = f"{right:,} of {total:,} images right ({100 * right / total:.1f}%)"
        canvas.text(share, MARGIN, MARGIN + 36, colour=SOFT)


def _draw_cells(
    canvas: Canvas, confusion: NDArray[np.int64], left: float, top: float, cell: int
) -> None:
    rows = np.broadcast_to(confusion.sum(axis=1, keepdims=True), confusion.shape)
    shares = ratio(confusion, rows, undefined=0.0)
    gap = 0 if cell < SMALLEST_WITH_NAME else 1 if cell < SMALLEST_WITH_NUMBER else 2
    size = min(16.0, 0.4 * cell)
    side = len(confusion) * cell
    if not gap:
        canvas.box(left - 1, top - 1, side + 2, side + 2, LINE)
        canvas.box(left, top, side, side, PAPER)
    for row, column in np.ndindex(confusion.shape):
        number, share = int(confusion[row, column]), float(shares[row, column])
        if not number and not gap:
            continue
        colour = _cell_colour(share, is_right=row == column)
        x, y = left + column * cell, top + row * cell
        canvas.box(x, y, cell - gap, cell - gap, colour)
        if cell < SMALLEST_WITH_NUMBER or not number:
            continue
        text = f"{number:,}"
        while size > 6 and canvas.text_width(text, size=size) > cell - gap - 2:
            size -= 0.5
        ink = PAPER if sum(colour) < 400 else INK
        centre, base = x + (cell - gap) / 2, y + (cell - gap) / 2 + 0.36 * size
        canvas.text(text, centre, base, size=size, colour=ink, anchor="middle")


def _cell_colour(share: float, *, is_right: bool) -> Colour:
    if not share:
        return mixed(LINE, 0.35)
    # Few mistakes among many answers are the ones that people look for: they stay visible.
    return (
        mixed(ACCENT, 0.12 + 0.88 * share) if is_right else mixed(SECOND, 0.12 + 0.88 * share**0.5)
    )
