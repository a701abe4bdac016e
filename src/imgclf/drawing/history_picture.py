"""The curves of a training as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imgclf.drawing.canvas import ACCENT, INK, LINE, SECOND, SOFT, Canvas, Colour
from imgclf.errors import ArgumentError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["draw_history", "nice_ticks"]

PANELS = (("loss", "Loss"), ("accuracy", "Accuracy"))
LINES = (("val_", "validation", ACCENT), ("", "training", SECOND))

PANEL_WIDTH, PANEL_HEIGHT = 330, 210
MARGIN, LEFT, TOP, BOTTOM = 24, 44, 54, 40


def draw_history(
    history: Mapping[str, Sequence[float | None]], best_epoch: int | None = None
) -> Image.Image:
    """Draw loss and accuracy of each epoch, of the training and the validation images.

    Args:
        history: Figures of each epoch by name, as Keras' ``History.history`` and ``history.csv``
            have them: ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``. Others are left out,
            and so is what is None or not finite.
        best_epoch: The epoch that was kept, counted from 1; it is marked.

    Returns:
        An RGB picture, sharp at twice the size of its texts.

    Raises:
        ArgumentError: The history has none of these figures.

    Example:
        >>> image = draw_history({"loss": [0.7, 0.5], "accuracy": [0.5, 0.8]}, best_epoch=2)
        >>> image.mode, image.width > image.height
        ('RGB', True)
    """
    panels = [
        (title, lines)
        for name, title in PANELS
        if (lines := [_line(history, prefix + name, label, c) for prefix, label, c in LINES])
        and any(points for _, _, points in lines)
    ]
    if not panels:
        raise ArgumentError(
            "The history has no figures to draw: give one with loss or accuracy, such as "
            "FitResult.history."
        )
    step = LEFT + PANEL_WIDTH + MARGIN
    canvas = Canvas(MARGIN + step * len(panels), MARGIN + TOP + PANEL_HEIGHT + BOTTOM + MARGIN / 2)
    for at, (title, lines) in enumerate(panels):
        drawn = [line for line in lines if line[2]]
        _draw_panel(canvas, MARGIN + LEFT + at * step, title, drawn, best_epoch)
    return canvas.image()


Line = tuple[str, Colour, list[tuple[int, float]]]


def _line(
    history: Mapping[str, Sequence[float | None]], name: str, label: str, colour: Colour
) -> Line:
    values = enumerate(history.get(name, ()), start=1)
    return label, colour, [(e, float(v)) for e, v in values if v is not None and math.isfinite(v)]


def _draw_panel(
    canvas: Canvas, left: float, title: str, lines: Sequence[Line], best_epoch: int | None
) -> None:
    top, bottom = MARGIN + TOP, MARGIN + TOP + PANEL_HEIGHT
    epochs = [epoch for *_, points in lines for epoch, _ in points]
    values = [value for *_, points in lines for _, value in points]
    first, last = _widened(min(epochs), max(epochs))
    ticks = nice_ticks(*_widened(min(values), max(values)))
    low, high = min(ticks[0], *values), max(ticks[-1], *values)

    def place(epoch: float, value: float) -> tuple[float, float]:
        right = (epoch - first) / (last - first)
        return left + PANEL_WIDTH * right, bottom - PANEL_HEIGHT * (value - low) / (high - low)

    canvas.text(title, left - LEFT, MARGIN + 16, size=18, weight=600)
    for tick in ticks:
        y = place(first, tick)[1]
        canvas.line([(left, y), (left + PANEL_WIDTH, y)], LINE, 0.5)
        canvas.text(_short(tick), left - 8, y + 4, size=11, colour=SOFT, anchor="end")
    for epoch in nice_ticks(first, last):
        if epoch == round(epoch) and min(epochs) <= epoch <= max(epochs):
            x = place(epoch, low)[0]
            canvas.text(f"{epoch:g}", x, bottom + 17, size=11, colour=SOFT, anchor="middle")
    canvas.text("epoch", left + PANEL_WIDTH / 2, bottom + 35, size=11, colour=SOFT, anchor="middle")
    if best_epoch is not None and min(epochs) <= best_epoch <= max(epochs):
        x = place(best_epoch, low)[0]
        canvas.dashes((x, top), (x, bottom), SOFT)
        beyond = x > left + 0.7 * PANEL_WIDTH
        canvas.text(
            f"best: {best_epoch}", x + (-5 if beyond else 5), top + 4,
            size=11, colour=SOFT, anchor="end" if beyond else "start",
        )  # fmt: skip
    at = left - LEFT
    for label, colour, points in lines:
        where = [place(*point) for point in points]
        canvas.line(where, colour, 2)
        for x, y in where if len(where) == 1 else ():
            canvas.dot(x, y, 4, colour)
        canvas.line([(at, MARGIN + 34), (at + 18, MARGIN + 34)], colour, 3)
        canvas.text(label, at + 25, MARGIN + 38, colour=INK)
        at += 25 + canvas.text_width(label) + 20


def _widened(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round values between two limits, at equal distances of 1, 2 or 5 times a power of ten.

    Args:
        low: The lower limit.
        high: The upper limit, above `low`.
        wanted: About how many.

    Returns:
        The values, ascending; at least one.

    Example:
        >>> nice_ticks(0.0, 1.0)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    power = 10.0 ** math.floor(math.log10((high - low) / wanted))
    step = next(f * power for f in (1, 2, 5, 10) if (high - low) / (f * power) <= wanted + 1)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _short(value: float) -> str:
    return f"{value:.3g}"
