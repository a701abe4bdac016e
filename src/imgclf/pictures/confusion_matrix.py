"""A confusion matrix as a picture: rows true, columns predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgclf.machine.plain_text import printable
from imgclf.pictures.markup import ACCENT, WRONG, as_text
from imgclf.pictures.picture import Picture

__all__ = ["confusion_picture"]

MOST_CLASSES = 30
"""Classes up to which the matrix is drawn whole; of more, those with the most mistakes."""

CELL, GAP = 40, 2
"""Pixels."""

LONGEST_NAME = 20
CHARACTER = 6.6
"""Width of a character in pixels, about."""

CAPTION = 210
"""Width of the line below the matrix, in pixels."""

STRONGEST = 0.55
"""Opacity of a full cell, on which text of either theme can be read."""


def confusion_picture(counts: NDArray[np.int64], names: Sequence[str]) -> Picture:
    """Draw a confusion matrix.

    Args:
        counts: ``(num_classes, num_classes)``; rows are true classes, columns predicted ones.
        names: Names of the classes.

    Returns:
        The picture: blue where the answer is right, red where it is wrong, each shaded by its share
        of the row.
    """
    counts, names, title = _shown_part(counts, names)
    short = [
        name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for name in names
    ]
    left = 24 + CHARACTER * max(map(len, short))
    top = 30 + 0.72 * CHARACTER * max(map(len, short))
    step = CELL + GAP
    size = len(names) * step
    parts = [_cells(counts, left, top)]
    for index, name in enumerate(short):
        middle = index * step + CELL / 2
        parts.append(
            f'<text x="{left - 8:.0f}" y="{top + middle + 4:.0f}" text-anchor="end">{as_text(name)}'
            f"</text>"
            f'<text transform="translate({left + middle:.0f},{top - 8:.0f}) rotate(-45)">'
            f"{as_text(name)}</text>"
        )
    width, height = max(left + size + top, left + CAPTION), top + size + 24
    parts.append(
        f'<text x="{left:.0f}" y="{height - 6:.0f}" opacity=".7">rows: true class; columns: '
        "predicted</text>"
    )
    svg = (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" '
        f'style="max-width:100%;height:auto;font:12px system-ui,sans-serif" fill="currentColor">'
        f"<title>{as_text(title)}</title>{''.join(parts)}</svg>"
    )
    return Picture(title, svg, lambda figure: _draw(figure, counts, short))


def _shown_part(
    counts: NDArray[np.int64], names: Sequence[str]
) -> tuple[NDArray[np.int64], list[str], str]:
    """Return the whole matrix, or the classes with the most mistakes of a large one."""
    shown = [printable(name, is_name=True) for name in names]
    if len(shown) <= MOST_CLASSES:
        return counts, shown, "Confusion matrix"
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    kept = np.sort(np.argsort(-mistakes, kind="stable")[:MOST_CLASSES])
    title = f"Confusion matrix of the {MOST_CLASSES} classes with the most mistakes"
    return counts[np.ix_(kept, kept)], [shown[index] for index in kept], title


def _cells(counts: NDArray[np.int64], left: float, top: float) -> str:
    sums = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / sums
    cells = []
    for row, column in np.ndindex(*counts.shape):
        x, y = left + column * (CELL + GAP), top + row * (CELL + GAP)
        count = int(counts[row, column])
        colour = ACCENT if row == column else WRONG
        opacity = STRONGEST * float(shares[row, column]) ** 0.5 if count else 0.0
        cells.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{CELL}" height="{CELL}" rx="3" '
            f'fill="{colour}" fill-opacity="{opacity:.2f}" stroke="currentColor" '
            'stroke-opacity=".15"/>'
        )
        if count:
            cells.append(
                f'<text x="{x + CELL / 2:.0f}" y="{y + CELL / 2 + 4:.0f}" text-anchor="middle">'
                f"{count}</text>"
            )
    return "".join(cells)


def _draw(figure: Any, counts: NDArray[np.int64], names: Sequence[str]) -> None:
    """Draw the matrix with matplotlib."""
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
