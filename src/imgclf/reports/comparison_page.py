"""Two runs side by side as one page, of the same make as a run's report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgclf.atomic import write_text_atomically
from imgclf.figures.predictions import ratio
from imgclf.reports.comparison import Comparison, common_images, compare_runs
from imgclf.reports.page import fill_page, shown_name
from imgclf.reports.thumbnails import thumbnails
from imgclf.runs.record import RunRecord

__all__ = ["write_comparison"]

PAGE_NAME = "comparison.html"

MOST_SHOWN = 60
"""Images that are shown of each kind of difference."""

NUM_LARGE = 12
"""Of those, how many are made large enough to look at closely."""

SETTINGS = (
    "architecture", "options", "image_size", "channels", "resize", "batch_size",
    "learning_rate", "schedule", "optimizer", "augment", "class_weight", "seed",
)  # fmt: skip

ALMOST_SURELY_DIFFERENT = 0.05
"""Below this p-value the difference is called more than chance."""


def write_comparison(
    first: RunRecord, second: RunRecord, output: str | os.PathLike[str] | None = None
) -> Path:
    """Write a page that compares two runs on the held-out images that both were measured on.

    Args:
        first: A finished run.
        second: Another, with the same classes.
        output: The file; None writes ``comparison.html`` into the second run's folder.

    Returns:
        The file.

    Raises:
        DataError: The runs cannot be compared.
        WriteError: The file cannot be written.
    """
    content = comparison_data(first, second)
    values = {
        "verdict": content["verdict"],
        "title": f"{content['names'][0]} and {content['names'][1]}",
    }
    page = fill_page(
        "comparison.html", ("drawing.js", "pictures.js", "comparison.js"), values, content
    )
    target = second.folder / PAGE_NAME if output is None else Path(output)
    write_text_atomically(target, page)
    return target


def comparison_data(first: RunRecord, second: RunRecord) -> dict[str, Any]:
    """Collect all that the page shows, as plain values."""
    places = common_images(first, second)
    found = compare_runs(first, second)
    return {
        "names": [shown_name(run.folder.resolve().name) for run in (first, second)],
        "folders": [shown_name(str(run.folder)) for run in (first, second)],
        "verdict": verdict(found),
        "comparison": asdict(found),
        "classes": first.class_names,
        "class_recalls": _class_recalls(first, second, places),
        "facts": _facts(first, second),
        "histories": [_curves(run) for run in (first, second)],
        "groups": _groups(first, second, places),
        "num_relabelled": int(
            (_truths(first, places[:, 0]) != _truths(second, places[:, 1])).sum()
        ),
    }


def verdict(found: Comparison) -> str:
    """Say in a sentence what McNemar's test found."""
    judged = "more" if found.p_value < ALMOST_SURELY_DIFFERENT else "no more"
    return (
        f"On the {found.num_images:,} images in common the runs differ by {judged} than chance "
        f"explains (McNemar's exact test, p = {found.p_value:.3g})."
    )


def _truths(run: RunRecord, places: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.array(run.class_names)[run.labels[places]]


def _class_recalls(
    first: RunRecord, second: RunRecord, places: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Return each class's recall in both runs, on the common images."""
    rows: list[dict[str, Any]] = [{"class_name": name} for name in first.class_names]
    for key, run, column in (("first", first, 0), ("second", second, 1)):
        labels, is_correct = run.labels[places[:, column]], run.is_correct[places[:, column]]
        num_classes = len(run.class_names)
        sizes = np.bincount(labels, minlength=num_classes)
        recalls = ratio(np.bincount(labels, is_correct, num_classes), sizes, undefined=-1.0)
        by_name = dict(
            zip(run.class_names, zip(sizes.tolist(), recalls.tolist(), strict=True), strict=True)
        )
        for row in rows:
            size, recall = by_name[row["class_name"]]
            row[key] = recall if size else None
            row["support"] = size
    return rows


def _facts(first: RunRecord, second: RunRecord) -> list[tuple[str, str, str]]:
    """Return the settings that differ, then what each run measured on its own images."""
    left, right = _settings(first), _settings(second)
    differing = [(name, left[name], right[name]) for name in left if left[name] != right[name]]
    left, right = _measured(first), _measured(second)
    return [*differing, *((name, left[name], right[name]) for name in left)]


def _settings(run: RunRecord) -> dict[str, str]:
    return {name.replace("_", " "): _shown(run.settings.get(name)) for name in SETTINGS}


def _measured(run: RunRecord) -> dict[str, str]:
    figures = run.record["evaluation"]
    return {
        # A budget, early stopping and two phases train another number than was asked for.
        "epochs": f"{len(run.history['epoch'])}",
        "training images": f"{sum(split == 'train' for *_, split in run.splits):,}",
        "held-out images": f"{len(run.paths):,} ({run.record['split']})",
        "log loss there": f"{figures['log_loss']:.3f}",
        "calibration error there": f"{figures['expected_calibration_error']:.3f}",
        "training speed": f"{run.record['images_per_s']:,.0f} images/s",
        "prediction speed": _prediction_speed(run),
        "training time": f"{run.record['durations_s']['fit']:,.0f} s",
    }


def _prediction_speed(run: RunRecord) -> str:
    speed = run.record.get("predict_images_per_s")  # A run of an earlier version has none.
    return "unknown" if speed is None else f"{speed:,.0f} images/s"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_shown(entry)}" for name, entry in value.items()) or "none"
    if isinstance(value, list):
        return " x ".join(map(str, value))
    return "none" if value is None else str(value)


def _curves(run: RunRecord) -> dict[str, list[float | None]]:
    """Return the validation figures of each epoch; what is not finite is left out."""
    return {
        name: [value if np.isfinite(value) else None for value in run.history.get(name, [])]
        for name in ("epoch", "val_loss", "val_accuracy")
    }


def _groups(first: RunRecord, second: RunRecord, places: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return the images on which the runs differ, and those that both have wrong."""
    left, right = first.is_correct[places[:, 0]], second.is_correct[places[:, 1]]
    groups = []
    for title, chosen in (
        ("Right in the first run only", left & ~right),
        ("Right in the second run only", right & ~left),
        ("Wrong in both", ~left & ~right),
    ):
        found = places[chosen]
        # Where the two answers are furthest apart, in what they leave for the truth, comes first.
        gap = np.abs(first.true_probability[found[:, 0]] - second.true_probability[found[:, 1]])
        shown = found[np.argsort(-gap, kind="stable")[:MOST_SHOWN]]
        groups.append(
            {"title": title, "num_images": len(found), "items": _items(first, second, shown)}
        )
    return groups


def _items(first: RunRecord, second: RunRecord, places: NDArray[np.int64]) -> list[dict[str, Any]]:
    paths = [first.paths[place] for place in places[:, 0]]
    sources = thumbnails(paths, num_large=NUM_LARGE)
    return [
        {
            "path": shown_name(path),
            "src": source,
            "true": first.class_names[first.labels[left]],
            "answers": _answers((first, left), (second, right)),
        }
        for path, source, (left, right) in zip(paths, sources, places.tolist(), strict=True)
    ]


def _answers(*runs: tuple[RunRecord, int]) -> Sequence[tuple[str, float]]:
    return [
        (run.class_names[run.predicted[place]], round(float(run.probability[place]), 4))
        for run, place in runs
    ]
