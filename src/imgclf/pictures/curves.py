"""Learning curves as a picture: loss and accuracy over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from imgclf.pictures.markup import ACCENT, WRONG, as_text
from imgclf.pictures.picture import Picture

__all__ = ["curves_picture"]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 330, 220, 46, 34, 30
"""Pixels of one plot, and its margins."""

KINDS = ("loss", "accuracy")


def curves_picture(history: Mapping[str, Sequence[float]], best_epoch: int | None) -> Picture:
    """Draw the loss and the accuracy of each epoch, in training and validation.

    Args:
        history: The figures of each epoch by name, as Keras' `History` has them.
        best_epoch: The epoch whose weights were kept, counted from 0, if one was.

    Returns:
        The picture: two plots, the best epoch marked.
    """
    plots = [(kind, lines) for kind in KINDS if (lines := _lines_of(history, kind))]
    drawn = "".join(
        f'<g transform="translate({number * (WIDTH + 16)},0)">{_plot(kind, lines, best_epoch)}</g>'
        for number, (kind, lines) in enumerate(plots)
    )
    width = len(plots) * (WIDTH + 16)
    svg = (
        f'<svg viewBox="0 0 {width} {HEIGHT}" width="{width}" role="img" '
        'style="max-width:100%;height:auto;font:12px system-ui,sans-serif" fill="currentColor">'
        f"<title>Learning curves</title>{drawn}</svg>"
    )
    return Picture("Learning curves", svg, lambda figure: _draw(figure, plots, best_epoch))


def _lines_of(history: Mapping[str, Sequence[float]], kind: str) -> dict[str, Sequence[float]]:
    """Return the curves of a kind; accuracy may be binary or categorical."""
    found = {}
    for label, prefix in (("training", ""), ("validation", "val_")):
        names = [
            name
            for name in history
            if name.endswith(kind) and name.startswith("val_") == bool(prefix)
        ]
        if names and len(history[names[0]]):
            found[label] = history[names[0]]
    return found


def _plot(kind: str, lines: Mapping[str, Sequence[float]], best_epoch: int | None) -> str:
    finite = [value for values in lines.values() for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    epochs = max(len(values) for values in lines.values())

    def across(epoch: int) -> float:
        return LEFT + (epoch / max(epochs - 1, 1)) * (WIDTH - LEFT - 10)

    def down(value: float) -> float:
        share = (value - low) / ((high - low) or 1)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    floor = HEIGHT - BOTTOM
    parts = [
        f'<text x="{LEFT}" y="14" font-weight="600">{as_text(kind)}</text>',
        f'<path d="M{LEFT},{TOP} V{floor} H{WIDTH - 10}" fill="none" stroke="#888"/>',
        f'<text x="{LEFT}" y="{floor + 16}">1</text>',
        f'<text x="{WIDTH - 10}" y="{floor + 16}" text-anchor="end">{epochs} epochs</text>',
    ]
    parts += [
        f'<text x="{LEFT - 6}" y="{down(level) + 4:.0f}" text-anchor="end">{level:.3g}</text>'
        for level in dict.fromkeys((low, high))
    ]
    if best_epoch is not None and best_epoch < epochs:
        parts.append(
            f'<path d="M{across(best_epoch):.1f},{TOP} V{HEIGHT - BOTTOM}" stroke="currentColor" '
            'stroke-opacity=".5" stroke-dasharray="3 4"/>'
        )
    for number, (label, values) in enumerate(lines.items()):
        colour = (WRONG, ACCENT)[label == "validation"]
        points = [
            (across(epoch), down(value))
            for epoch, value in enumerate(values)
            if math.isfinite(value)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            + "".join(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>'
                for x, y in points * (len(points) == 1)
            )
            + f'<text x="{WIDTH - 10}" y="{14 + 14 * number}" text-anchor="end">'
            f'<tspan fill="{colour}">━</tspan> {label}</text>'
        )
    return "".join(parts)


def _draw(
    figure: Any,
    plots: Sequence[tuple[str, Mapping[str, Sequence[float]]]],
    best_epoch: int | None,
) -> None:
    """Draw the curves with matplotlib."""
    for axes, (kind, lines) in zip(
        figure.subplots(1, len(plots), squeeze=False)[0], plots, strict=True
    ):
        for label, values in lines.items():
            axes.plot(range(1, len(values) + 1), values, label=label)
        if best_epoch is not None:
            axes.axvline(best_epoch + 1, color="grey", linestyle=":")
        axes.set(xlabel="epoch", title=kind)
        axes.legend()
