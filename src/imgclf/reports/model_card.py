"""The model card: what a classifier is, was measured at and should not be used for, in Markdown."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from imgclf.atomic import write_text_atomically
from imgclf.classifiers.bundle import Manifest, read_bundle
from imgclf.figures.shares import shown_range, shown_share
from imgclf.machine.plain_text import printable
from imgclf.runs.folder import BUNDLE_NAME
from imgclf.runs.record import RunRecord

__all__ = ["CARD_NAME", "write_model_card"]

CARD_NAME = "model_card.md"

MOST_CLASSES = 100


def write_model_card(run: RunRecord) -> Path:
    """Write ``model_card.md`` into a run folder, from the facts of the run alone.

    Args:
        run: A finished run, with its bundle.

    Returns:
        The file.

    References:
        M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019, arXiv:1810.03993.
    """
    manifest = read_bundle(run.folder / BUNDLE_NAME).manifest
    sections = (_summary(run, manifest), _figures(run, manifest), _data(run), _limits(run))
    target = run.folder / CARD_NAME
    write_text_atomically(target, "\n".join("\n".join(lines) for lines in sections) + "\n")
    return target


def _summary(run: RunRecord, manifest: Manifest) -> list[str]:
    architecture, policy = manifest.architecture, manifest.input
    options = ", ".join(f"{name}={value}" for name, value in architecture.options.items())
    colour = "grey" if policy.channels == 1 else "colour"
    return [
        f"# Classifier of {_escaped(Path(run.config['train_dir']).name)}",
        "",
        f"- **Answers**: one of {len(run.class_names)} classes, with a probability for each",
        (
            f"- **Reads**: images of any size, resized ({policy.resize}) to "
            f"{policy.height} x {policy.width} pixels, {colour}"
        ),
        f"- **Network**: {_escaped(architecture.name)} ({_escaped(options) or 'no options'})",
        *(f"- **Pretrained**: {_escaped(origin)}" for origin in architecture.origins()),
        (
            f"- **Made**: {_escaped(manifest.created)}, imgclf "
            f"{_escaped(manifest.versions.imgclf)}, keras {_escaped(manifest.versions.keras)}, "
            f"seed {_escaped(str(run.config['seed']))}"
        ),
        "",
    ]


def _figures(run: RunRecord, manifest: Manifest) -> list[str]:
    figures = run.record["evaluation"]
    interval = figures["accuracy_interval"]
    majority, of = figures["majority"], figures["num_images"]
    lines = [
        "## How good it is",
        "",
        (
            f"Accuracy **{shown_share(figures['accuracy'], of)}** (95% interval "
            f"{shown_range(interval['low'], interval['high'], of)}) on {of} "
            f"{_escaped(run.record['split'])} images that it did not learn from."
        ),
        (
            f"Always answering {_escaped(run.class_names[majority['class_index']])} would give "
            f"{shown_share(majority['accuracy'], of)}."
        ),
    ]
    if run.record["split"] == "val":
        lines.append("These images also chose the epoch, so the figure is a little too high.")
    if manifest.calibration is not None:
        fitted = manifest.calibration
        lines.append(
            f"Its probabilities were calibrated on {fitted.num_images} validation images "
            f"(temperature {fitted.temperature:.3g}); the calibration error here is "
            f"{figures['expected_calibration_error']:.3f}."
        )
    rows = [
        f"| {_escaped(item['class_name'])} | {_share(item['precision'])} | "
        f"{_share(item['recall'])} | {item['support']} |"
        for item in figures["classes"][:MOST_CLASSES]
    ]
    return [*lines, "", "| class | precision | recall | images |", "|---|--:|--:|--:|", *rows, ""]


def _data(run: RunRecord) -> list[str]:
    counts = Counter(split for _, _, _, split in run.splits)
    return [
        "## What it learned from",
        "",
        ", ".join(f"{count} {split}" for split, count in counts.items()) + " images. "
        f"{len(run.record['quarantined'])} unusable files were left out, and "
        f"{run.record['num_leaked']} held-out images that were training images too.",
        "",
    ]


def _limits(run: RunRecord) -> list[str]:
    pairs = run.record["evaluation"]["confused_pairs"][:5]
    confused = [
        f"- {_escaped(pair['true'])} is taken for {_escaped(pair['predicted'])} "
        f"({pair['num_images']} of the images above)"
        for pair in pairs
    ]
    return [
        "## What to know before using it",
        "",
        (
            "- It answers with one of its classes whatever it is shown; an image of anything else "
            "gets one of them too."
        ),
        *_familiarity(run),
        (
            "- The figures hold for images like those above. Other cameras, places or people can "
            "give others: measure with `imgclf evaluate` on your own."
        ),
        *confused,
    ]


def _familiarity(run: RunRecord) -> list[str]:
    flagged = run.record["evaluation"]["num_unfamiliar"]
    if flagged is None:
        return []
    return [
        (
            "- It flags images that are unlike its training images as unfamiliar: "
            f"{shown_share(flagged / len(run.paths))} of the images above. Not every image of "
            "anything else is flagged."
        )
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else shown_share(value)


def _escaped(text: str) -> str:
    """Return a name that Markdown and HTML show as it is."""
    plain = printable(text, is_name=True)
    # Addresses, which Markdown makes links of by themselves, begin with ://, www. or hold an @.
    return re.sub(r"([\\`*_{}\[\]<>()#+!|&~@]|:(?=//)|(?<=www)\.)", r"\\\1", plain)
