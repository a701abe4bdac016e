"""Learning curves as a picture: loss and accuracy over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from imgclf.errors import ArgumentError
from imgclf.pictures.drawing import Anchor, Dot, Drawing, Line, Point, Text, Tone
from imgclf.pictures.lettering import text_width
from imgclf.pictures.picture import Picture

__all__ = ["curves_picture", "draw_curves", "nice_ticks"]

KINDS = ("loss", "accuracy")
SPLITS: tuple[tuple[str, str, Tone], ...] = (
    ("validation", "val_", "accent"), ("training", "", "wrong"),
)  # fmt: skip
"""Name, prefix of its figures and tone."""

PLOT_WIDTH, PLOT_HEIGHT = 330, 210
MARGIN, LEFT, TOP, BOTTOM = 24, 44, 54, 40

History = Mapping[str, Sequence[float | None]]


class Curve(NamedTuple):
    """One line of a plot: the figures of a split, by epoch, counted from 1."""

    label: str
    tone: Tone
    points: list[tuple[int, float]]


class Plot(NamedTuple):
    """The curves of one kind of figure; each has a point."""

    title: str
    curves: list[Curve]


def curves_picture(history: History, best_epoch: int | None) -> Picture:
    """Draw the curves of a training for a notebook.

    Args:
        history: As for `draw_curves`.
        best_epoch: As for `draw_curves`.

    Returns:
        The picture.

    Raises:
        ArgumentError: The history has none of these figures.
    """
    plots = _plots_of(history)
    drawing = draw_curves(history, best_epoch)
    return Picture.of(drawing, lambda figure: _plot(figure, plots, best_epoch))


def draw_curves(history: History, best_epoch: int | None = None) -> Drawing:
    """Draw loss and accuracy of each epoch, of the training and the validation images.

    Args:
        history: Figures of each epoch by name, as Keras' ``History.history`` and ``history.csv``
            have them: ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``. Others are left out,
            and so is what is None or not finite.
        best_epoch: The epoch that was kept, counted from 1; it is marked.

    Returns:
        The drawing, a plot for the loss and one for the accuracy.

    Raises:
        ArgumentError: The history has none of these figures.

    Example:
        >>> drawing = draw_curves({"loss": [0.7, 0.5], "accuracy": [0.5, 0.8]}, best_epoch=2)
        >>> drawing.title, drawing.width > drawing.height
        ('Learning curves', True)
    """
    plots = _plots_of(history)
    step = LEFT + PLOT_WIDTH + MARGIN
    drawing = Drawing(
        "Learning curves", MARGIN + step * len(plots), TOP + PLOT_HEIGHT + BOTTOM + 1.5 * MARGIN
    )
    for at, plot in enumerate(plots):
        _draw_plot(drawing, MARGIN + LEFT + at * step, plot, best_epoch)
    return drawing


def _plots_of(history: History) -> list[Plot]:
    plots = [
        Plot(kind.capitalize(), curves)
        for kind in KINDS
        if (
            curves := [curve for split in SPLITS if (curve := _curve(history, kind, *split)).points]
        )
    ]
    if not plots:
        raise ArgumentError(
            "The history has no figures to draw: give one with loss or accuracy, such as "
            "FitResult.history."
        )
    return plots


def _curve(history: History, kind: str, label: str, prefix: str, tone: Tone) -> Curve:
    """Take the figures of a split; accuracy may be binary or categorical."""
    values = next(
        (
            values
            for name, values in history.items()
            if name.endswith(kind) and name.startswith("val_") == bool(prefix)
        ),
        (),
    )
    points = enumerate(values, start=1)
    return Curve(
        label, tone, [(e, float(v)) for e, v in points if v is not None and math.isfinite(v)]
    )


def _draw_plot(drawing: Drawing, left: float, plot: Plot, best_epoch: int | None) -> None:
    top, bottom = MARGIN + TOP, MARGIN + TOP + PLOT_HEIGHT
    epochs = [epoch for curve in plot.curves for epoch, _ in curve.points]
    values = [value for curve in plot.curves for _, value in curve.points]
    first, last = _widened(min(epochs), max(epochs))
    ticks = nice_ticks(*_widened(min(values), max(values)))
    low, high = min(ticks[0], *values), max(ticks[-1], *values)

    def place(epoch: float, value: float) -> Point:
        right = (epoch - first) / (last - first)
        return left + PLOT_WIDTH * right, bottom - PLOT_HEIGHT * (value - low) / (high - low)

    drawing.add(Text(plot.title, left - LEFT, MARGIN + 16, size=18, weight=600))
    for tick in ticks:
        y = place(first, tick)[1]
        drawing.add(Line([(left, y), (left + PLOT_WIDTH, y)], "line", 0.5))
        drawing.add(Text(f"{tick:.3g}", left - 8, y + 4, 11, "soft", anchor="end"))
    for epoch in nice_ticks(first, last):
        if epoch == round(epoch) and min(epochs) <= epoch <= max(epochs):
            x = place(epoch, low)[0]
            drawing.add(Text(f"{epoch:g}", x, bottom + 17, 11, "soft", anchor="middle"))
    drawing.add(Text("epoch", left + PLOT_WIDTH / 2, bottom + 35, 11, "soft", anchor="middle"))
    if best_epoch is not None and min(epochs) <= best_epoch <= max(epochs):
        x = place(best_epoch, low)[0]
        is_far = x > left + 0.7 * PLOT_WIDTH
        anchor: Anchor = "end" if is_far else "start"
        beside = x - 5 if is_far else x + 5
        drawing.add(Line([(x, top), (x, bottom)], "soft", is_dashed=True))
        drawing.add(Text(f"best: {best_epoch}", beside, top + 4, 11, "soft", anchor=anchor))
    at = left - LEFT
    for label, tone, points in plot.curves:
        where = [place(*point) for point in points]
        drawing.add(Line(where, tone, 2))
        drawing.add(*(Dot(x, y, 4, tone) for x, y in where if len(where) == 1))
        drawing.add(Line([(at, MARGIN + 34), (at + 18, MARGIN + 34)], tone, 3))
        drawing.add(Text(label, at + 25, MARGIN + 38))
        at += 25 + text_width(label) + 20


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


def _plot(figure: Any, plots: Sequence[Plot], best_epoch: int | None) -> None:
    """Plot the curves with matplotlib."""
    for axes, plot in zip(figure.subplots(1, len(plots), squeeze=False)[0], plots, strict=True):
        for label, _, points in plot.curves:
            axes.plot(*zip(*points, strict=True), label=label)
        if best_epoch is not None:
            axes.axvline(best_epoch, color="grey", linestyle=":")
        axes.set(xlabel="epoch", title=plot.title)
        axes.legend()
