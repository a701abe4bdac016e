"""A study's report page: one HTML file that loads nothing, readable offline."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from imgclf.figures.shares import shown_share
from imgclf.machine.plain_text import printable
from imgclf.reports.page import fill_page
from imgclf.tuning.space import Space
from imgclf.tuning.trials import Trial, best_trial, completed

__all__ = ["study_page"]

WIDTH, HEIGHT, MARGIN = 860, 320, 60
"""Size of each picture, and its margin, in pixels."""


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
    parts: list[str] = []
    if done:
        parts.append(_section("Score over time", "", _over_time(done)))
        note = (
            "Each line is a trial, from option to option to its accuracy; the stronger, the better."
        )
        parts.append(_section("Options and score", note, _parallel(done, space)))
    if shares:
        note = "Share of the differences between trials that an option explains."
        parts.append(_section("What mattered", note, _bars(shares)))
    best = best_trial(trials)
    values = {
        "title": title,
        "kicker": "imgclf hyperparameter search",
        "accuracy": "" if best is None else shown_share(best.score),
        "counts": (
            ("" if best is None else "of the validation images right in the best trial; ")
            + f"{len(done)} of {len(trials)} trials completed"
        ),
        "verdict": "" if best is None else _about(best),
    }
    return fill_page(
        "study.html",
        (),
        values,
        {},
        styles=("study.css",),
        folders=(files("imgclf.tuning").joinpath("template"),),
        blocks={"sections": "".join(parts)},
    )


def _about(best: Trial) -> str:
    return (
        f"The best is trial {best.number}. The validation images chose it, so this figure is a "
        "little too good: quote the one on the test images, which the search printed at its end."
    )


def _section(title: str, note: str, content: str) -> str:
    hint = f"<p class='hint'>{note}</p>" if note else ""
    return f"<section><h2>{title}</h2>{hint}{content}</section>\n"


def _bars(shares: Mapping[str, float]) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{_text(name)}</th>"
        f"<td class='number'>{shown_share(share, digits=0)}</td>"
        f"<td class='wide'><div class='bar' style='width:{100 * share:.0f}%'></div></td></tr>"
        for name, share in shares.items()
    )
    return f"<table class='bars'>{rows}</table>"


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
            f"<circle class='f0' cx='{x:.1f}' cy='{y:.1f}' r='4' "
            f"opacity='{_strength(trial.score, low, high):.2f}'>"
            f"<title>{_label(trial)}</title></circle>"
        )
    line = f"<polyline class='line s0' points='{' '.join(steps)}'/>"
    marks = (
        f"<line class='axis' x1='{MARGIN}' x2='{WIDTH - MARGIN}' y1='{HEIGHT - MARGIN / 4}' "
        f"y2='{HEIGHT - MARGIN / 4}'/>"
        f"<text x='4' y='{place_y(high):.0f}'>{shown_share(high)}</text>"
        f"<text x='4' y='{place_y(low):.0f}'>{shown_share(low)}</text>"
        f"<text x='{MARGIN}' y='{HEIGHT - 2}'>0</text>"
        f"<text x='{WIDTH - 2 * MARGIN}' y='{HEIGHT - 2}'>{elapsed / 60:.1f} minutes</text>"
    )
    summary = (
        f"Accuracy of {len(ordered)} trials over time, {shown_share(low)} to {shown_share(high)}"
    )
    return _svg(line + "".join(points) + marks, summary)


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
        f"<polyline class='line s0' opacity='{_strength(trial.score, low, high):.2f}' points='"
        + " ".join(
            f"{axis.x:.1f},{y:.1f}" for axis in axes if (y := axis.place(_value(trial, axis.name)))
        )
        + f"'><title>{_label(trial)}</title></polyline>"
        for trial in sorted(trials, key=lambda trial: trial.score)
    ]
    # The axes' labels go on top of the lines, which all cross them.
    drawn = "".join(lines) + "".join(axis.drawn() for axis in axes)
    return _svg(drawn, f"Options and accuracy of {len(trials)} trials")


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
            return shown_share(value)
        return _text(f"{value:.3g}" if isinstance(value, float) else str(value))


def _text(text: str) -> str:
    """Write a text that is neither markup nor turns the direction of writing around."""
    return html.escape(printable(text, is_name=True))


def _value(trial: Trial, name: str) -> Any:
    return trial.score if name == "accuracy" else trial.candidate.shown(name)


def _label(trial: Trial) -> str:
    return _text(f"trial {trial.number}: {shown_share(trial.score, digits=2)}")


def _limits(scores: Sequence[float]) -> tuple[float, float]:
    low, high = min(scores), max(scores)
    return (low, high) if high > low else (low - 0.01, high + 0.01)


def _scale(low: float, high: float, first: float, last: float) -> Any:
    return lambda value: first + (value - low) / (high - low) * (last - first)


def _strength(score: float, low: float, high: float) -> float:
    """Return how much of a line is seen, from faint (lowest score) to full."""
    return 0.15 + 0.85 * ((score - low) / (high - low)) ** 2


def _svg(content: str, description: str) -> str:
    return (
        "<div class='scroll' tabindex='0' role='group' aria-label='Picture, scrollable'>"
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{description}'>{content}</svg>"
        "</div>"
    )
