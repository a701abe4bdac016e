"""A study's report page: one HTML file that loads nothing, readable offline."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from imgclf.machine.plain_text import printable
from imgclf.tuning.space import Space
from imgclf.tuning.trials import Trial, best_trial, completed

__all__ = ["study_page"]

WIDTH, HEIGHT, MARGIN = 860, 320, 60
"""Size of each picture, and its margin, in pixels."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2em auto; color: #1b1f24; }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: #444;
  stroke: #fff; stroke-width: 4px; stroke-linejoin: round; paint-order: stroke; }
.axis { stroke: #999; } .trial { fill: none; stroke-width: 1.5; opacity: .75; }
.trial:hover { stroke: #d1242f; stroke-width: 4; opacity: 1; }
td, th { padding: 0 1em 0 0; text-align: left; }
.bar { background: #2da44e; height: .8em; min-width: 1px; }
@media (prefers-color-scheme: dark) {
  body { background: #14171a; color: #e6e8eb; } svg text { fill: #bbb; stroke: #14171a; } }
"""


def study_page(
    title: str, trials: Sequence[Trial], space: Space, shares: Mapping[str, float]
) -> str:
    """Draw a study as an HTML page.

    Args:
        title: The page's title.
        trials: All trials; those without a result are only counted.
        space: The search space.
        shares: Importance of each option, from `imgclf.tuning.importance.importance`.

    Returns:
        An HTML page with the score over time, the options of each trial as parallel coordinates,
        and the importance of each option. It runs no script and loads nothing.
    """
    done = completed(trials)
    parts = [f"<h1>{html.escape(title)}</h1>", _introduction(trials)]
    if done:
        parts += ["<h2>Score over time</h2>", _over_time(done)]
        parts += ["<h2>Options and score</h2>", _parallel(done, space)]
    if shares:
        rows = "".join(
            f"<tr><td>{_text(name)}</td><td>{share:.0%}</td>"
            f"<td><div class='bar' style='width:{300 * share:.0f}px'></div></td></tr>"
            for name, share in shares.items()
        )
        parts.append(f"<h2>Share of the differences explained</h2><table>{rows}</table>")
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{_text(title)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _introduction(trials: Sequence[Trial]) -> str:
    best = best_trial(trials)
    counts = f"{len(completed(trials))} of {len(trials)} trials came to a result."
    if best is None:
        return f"<p>{counts}</p>"
    return (
        f"<p>{counts} The best is trial {best.number} with {best.score:.2%} on the validation "
        "images, which chose it; the figure to quote is the one on the test images.</p>"
    )


def _over_time(trials: Sequence[Trial]) -> str:
    """Draw each trial's score over time, and the best score so far as a line."""
    ordered = sorted(trials, key=lambda trial: trial.number)
    times, elapsed = [], 0.0
    for trial in ordered:
        elapsed += trial.duration_s
        times.append(elapsed)
    low, high = _limits([trial.score for trial in ordered])
    place_x = _scale(0.0, max(elapsed, 1e-9), MARGIN, WIDTH - MARGIN)
    place_y = _scale(low, high, HEIGHT - MARGIN / 2, MARGIN / 2)
    points: list[str] = []
    steps: list[str] = []
    best = -math.inf
    for trial, time in zip(ordered, times, strict=True):
        x, y = place_x(time), place_y(trial.score)
        best = max(best, trial.score)
        steps += [f"{x:.1f},{_last_y(steps, place_y(best))}", f"{x:.1f},{place_y(best):.1f}"]
        points.append(
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4' fill='{_colour(trial.score, low, high)}'>"
            f"<title>{_label(trial)}</title></circle>"
        )
    line = f"<polyline class='trial' stroke='#0969da' points='{' '.join(steps)}'/>"
    marks = (
        f"<line class='axis' x1='{MARGIN}' x2='{WIDTH - MARGIN}' y1='{HEIGHT - MARGIN / 4}' "
        f"y2='{HEIGHT - MARGIN / 4}'/><text x='4' y='{place_y(high):.0f}'>{high:.1%}</text>"
        f"<text x='4' y='{place_y(low):.0f}'>{low:.1%}</text>"
        f"<text x='{MARGIN}' y='{HEIGHT - 2}'>0</text>"
        f"<text x='{WIDTH - 2 * MARGIN}' y='{HEIGHT - 2}'>{elapsed / 60:.1f} minutes</text>"
    )
    return _svg(line + "".join(points) + marks)


def _last_y(steps: Sequence[str], otherwise: float) -> str:
    return steps[-1].partition(",")[2] if steps else f"{otherwise:.1f}"


def _parallel(trials: Sequence[Trial], space: Space) -> str:
    """Draw parallel coordinates: a line per trial through its options' values and its score."""
    scores = [trial.score for trial in trials]
    low, high = _limits(scores)
    names = [*space.names, "accuracy"]
    step = (WIDTH - 2 * MARGIN) / max(1, len(names) - 1)
    axes = [
        _Axis(name, [_value(trial, name) for trial in trials], MARGIN + number * step)
        for number, name in enumerate(names)
    ]
    # The best are drawn last, on top of the others.
    lines = [
        f"<polyline class='trial' stroke='{_colour(trial.score, low, high)}' points='"
        + " ".join(
            f"{axis.x:.1f},{y:.1f}" for axis in axes if (y := axis.place(_value(trial, axis.name)))
        )
        + f"'><title>{_label(trial)}</title></polyline>"
        for trial in sorted(trials, key=lambda trial: trial.score)
    ]
    # The axes' labels go on top of the lines, which all cross them.
    return _svg("".join(lines) + "".join(axis.drawn() for axis in axes))


class _Axis:
    """A vertical axis: listed values at equal distances, ranges to scale."""

    def __init__(self, name: str, values: Sequence[Any], x: float) -> None:
        self.name, self.x = name, x
        present: list[Any] = [value for value in values if value is not None]
        numbers = all(
            isinstance(value, (int, float)) and not isinstance(value, bool) for value in present
        )
        unique: list[Any] = sorted(set(present)) if numbers else sorted(set(map(str, present)))
        self._listed = not numbers or len(unique) <= 5
        self._values = unique
        self._log = numbers and len(unique) > 1 and unique[0] > 0 and unique[-1] / unique[0] > 20

    def place(self, value: Any) -> float | None:
        """Return a value's y coordinate; None where the trial has no such option."""
        if value is None:
            return None
        bottom, top = float(HEIGHT - MARGIN), MARGIN / 2
        if self._listed:
            shown = value if value in self._values else str(value)
            share = (self._values.index(shown) + 0.5) / len(self._values)
            return bottom + share * (top - bottom)
        low, high = self._values[0], self._values[-1]
        if self._log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return bottom + float((value - low) / ((high - low) or 1)) * (top - bottom)

    def drawn(self) -> str:
        """Return the axis as SVG, with its name and values."""
        marks = self._values if self._listed else [self._values[0], self._values[-1]]
        labels = "".join(
            f"<text x='{self.x + 4:.0f}' y='{self.place(value):.0f}'>{self._shown(value)}</text>"
            for value in marks
        )
        return (
            f"<line class='axis' x1='{self.x:.1f}' x2='{self.x:.1f}' y1='{MARGIN / 2}' "
            f"y2='{HEIGHT - MARGIN}'/>{labels}<text x='{self.x:.0f}' y='{HEIGHT - 20}' "
            f"text-anchor='middle'>{_text(self.name)}</text>"
        )

    def _shown(self, value: Any) -> str:
        if self.name == "accuracy":
            return f"{value:.1%}"
        return _text(f"{value:.3g}" if isinstance(value, float) else str(value))


def _text(text: str) -> str:
    """Write a text that is neither markup nor turns the direction of writing around."""
    return html.escape(printable(text, is_name=True))


def _value(trial: Trial, name: str) -> Any:
    return trial.score if name == "accuracy" else trial.candidate.shown(name)


def _label(trial: Trial) -> str:
    return _text(f"trial {trial.number}: {trial.score:.2%}")


def _limits(scores: Sequence[float]) -> tuple[float, float]:
    low, high = min(scores), max(scores)
    return (low, high) if high > low else (low - 0.01, high + 0.01)


def _scale(low: float, high: float, first: float, last: float) -> Any:
    return lambda value: first + (value - low) / (high - low) * (last - first)


def _colour(score: float, low: float, high: float) -> str:
    """Return a colour between grey (lowest score) and green (highest)."""
    share = (score - low) / (high - low)
    return f"hsl(140 {10 + 60 * share:.0f}% {60 - 22 * share:.0f}%)"


def _svg(content: str) -> str:
    return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img'>{content}</svg>"
