"""The sections of a report, as plain values for its script."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from imgclf.classifiers.bundle import Manifest
from imgclf.classifiers.classifier import Classifier
from imgclf.figures.predictions import FloatArray, ratio
from imgclf.figures.ranking import precision_recall_curve, roc_curve
from imgclf.figures.shares import shown_share
from imgclf.reports.export_proofs import export_proofs
from imgclf.reports.page import shown_name
from imgclf.runs.record import RunRecord

__all__ = [
    "class_figures", "course", "curves", "data_section", "exports", "headline", "history",
    "model_section", "reliability", "slider", "threshold_rows",
]  # fmt: skip

NUM_BINS = 15
MOST_POINTS = 200
"""Points at which a curve is drawn."""

MOST_LISTED = 200
"""Unusable files that are named one by one."""


def headline(run: RunRecord) -> dict[str, Any]:
    """Return the accuracy with its interval, the baselines and the other figures."""
    figures = run.record["evaluation"]
    majority = figures["majority"]
    plain = (
        "accuracy", "num_images", "num_correct", "balanced_accuracy", "macro_f1", "roc_auc",
        "average_precision", "log_loss", "brier_score", "top_3_accuracy", "top_5_accuracy",
        "nearest_mean_accuracy",
    )  # fmt: skip
    return {
        **{name: figures[name] for name in plain},
        "low": figures["accuracy_interval"]["low"],
        "high": figures["accuracy_interval"]["high"],
        "ece": figures["expected_calibration_error"],
        "split": run.record["split"],
        "majority": {
            "name": run.class_names[majority["class_index"]],
            "accuracy": majority["accuracy"],
        },
    }


def history(run: RunRecord) -> dict[str, Any]:
    """Return loss and accuracy of each epoch, and the course of the learning rate."""
    finite = {
        name: [value if np.isfinite(value) else None for value in values]
        for name, values in run.history.items()
        if name != "epoch"
    }
    return {
        "epochs": [int(epoch) for epoch in run.history["epoch"]],
        "columns": finite,
        "best_epoch": run.record["best_epoch"],
        "learning_rates": run.record["learning_rates"],
    }


CANDIDATES = {"fine_tuned": "fine-tuned", "from_scratch": "from random weights"}


def course(run: RunRecord) -> list[str]:
    """Say in sentences how the training went on from its first answer; none where it did not."""
    recorded = run.record.get("course")
    if not recorded:
        return []
    trials = []
    for result in recorded["results"]:
        height, width = result["image_size"]
        trials.append(
            f"A trial of {result['duration_s']:.0f} s ({CANDIDATES[result['name']]}, images of "
            f"{height} x {width} pixels) reached {shown_share(result['accuracy'])}."
        )
    first = (
        "The first answer, a head on the features of a pretrained network, was there after "
        f"{recorded['first_s']:.0f} s: {shown_share(recorded['first_accuracy'])} of the validation "
        "images were right."
    )
    return [first, *trials, recorded["reason"]]


def class_figures(run: RunRecord) -> list[dict[str, Any]]:
    """Return precision, recall, F1 and count of each class."""
    figures: list[dict[str, Any]] = run.record["evaluation"]["classes"]
    return figures


def reliability(run: RunRecord) -> dict[str, Any]:
    """Group the answers by their probability; see `reliability.reliability_bins`."""
    edges = np.linspace(0.0, 1.0, NUM_BINS + 1)
    bins = np.searchsorted(edges[1:-1], run.probability, side="left")
    sizes = np.bincount(bins, minlength=NUM_BINS)
    right = np.bincount(bins, run.is_correct, NUM_BINS)
    stated = np.bincount(bins, run.probability, NUM_BINS)
    return {
        "num_images": sizes.tolist(),
        "confidence": ratio(stated, sizes, undefined=-1.0).tolist(),
        "accuracy": ratio(right, sizes, undefined=-1.0).tolist(),
    }


def slider(run: RunRecord) -> dict[str, Any]:
    """Count what is answered, and rightly, at each whole per cent of threshold."""
    thresholds = np.arange(101) / 100
    every = np.sort(run.probability)
    right = np.sort(run.probability[run.is_correct])
    return {
        "answered": (every.size - np.searchsorted(every, thresholds, side="left")).tolist(),
        "correct": (right.size - np.searchsorted(right, thresholds, side="left")).tolist(),
        "total": int(every.size),
    }


def curves(run: RunRecord) -> dict[str, list[float]] | None:
    """Return the two curves of finding the second of two classes; None for more, or only one."""
    if len(run.class_names) != 2 or len(np.unique(run.labels)) != 2:
        return None
    second = np.where(run.predicted == 1, run.probability, 1 - run.probability)
    probabilities = np.stack([1 - second, second], axis=1)
    roc = roc_curve(run.labels, probabilities)
    found = precision_recall_curve(run.labels, probabilities)
    return {
        "false_positive_rate": _thinned(roc.false_positive_rate),
        "true_positive_rate": _thinned(roc.true_positive_rate),
        "recall": _thinned(found.recall),
        "precision": _thinned(found.precision),
    }


def _thinned(values: FloatArray) -> list[float]:
    chosen = np.linspace(0, values.size - 1, min(values.size, MOST_POINTS)).round().astype(int)
    return values[chosen].round(4).tolist()  # type: ignore[no-any-return]


def threshold_rows(manifest: Manifest) -> list[dict[str, float]]:
    """Return a few of the bundle's thresholds."""
    if manifest.calibration is None:
        return []
    wanted = (0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
    found = [entry for entry in manifest.calibration.thresholds if entry.min_precision in wanted]
    return [entry.as_dict() for entry in found]


def data_section(run: RunRecord) -> dict[str, Any]:
    """Return the classes' sizes in each split, and what was not used and why."""
    counts = Counter((split, name) for _, _, name, split in run.splits)
    present = [split for split in ("train", "val", "test") if any(s == split for s, _ in counts)]
    quarantined = run.record["quarantined"]
    return {
        "folder": run.config["train_dir"],
        "splits": {split: [counts[split, name] for name in run.class_names] for split in present},
        "quarantined": quarantined[:MOST_LISTED],
        "num_quarantined": len(quarantined),
        "left_out": run.record["left_out"],
        "num_leaked": run.record["num_leaked"],
    }


def model_section(run: RunRecord, classifier: Classifier, manifest: Manifest) -> dict[str, Any]:
    """Return what the network is, and how fast it learned and answers."""
    layers = [
        {
            "name": layer.name,
            "type": type(layer).__name__,
            "shape": " x ".join(str(side) for side in layer.output.shape[1:]) or "-",
            "parameters": layer.count_params(),
        }
        for layer in classifier.model.layers
    ]
    policy = manifest.input
    durations = run.record["durations_s"]
    options = ", ".join(f"{name}={value}" for name, value in manifest.architecture.options.items())
    facts = [
        ("architecture", manifest.architecture.name),
        ("options", options or "none"),
        *(("pretrained", origin) for origin in manifest.architecture.origins()),
        ("parameters", f"{classifier.model.count_params():,}"),
        ("classifier's file", f"{(run.folder / 'model.imgclf').stat().st_size / 1e6:.1f} MB"),
        (
            "images",
            (
                f"{policy.height} x {policy.width} pixels, "
                f"{'grey' if policy.channels == 1 else 'colour'}, {policy.resize}"
            ),
        ),
        ("training", f"{run.record['images_per_s']:,.0f} images/s in {run.record['precision']}"),
        *_prediction_speed(run),
        ("time", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in durations.items())),
    ]
    return {"facts": facts, "layers": layers}


def _prediction_speed(run: RunRecord) -> list[tuple[str, str]]:
    """Return how fast the held-out images were answered; a run of an earlier version knows not."""
    speed = run.record.get("predict_images_per_s")
    return [] if speed is None else [("prediction", f"{speed:,.0f} images/s in float32")]


def exports(run: RunRecord) -> dict[str, Any]:
    """Return the proofs of the exports beside the classifier, as rows of texts."""
    proofs = export_proofs(run)
    rows = [
        (
            shown_name(name),
            f"{proof.format}{'' if proof.quantize == 'none' else ', ' + proof.quantize}",
            f"{proof.size_bytes / 1e6:.1f} MB",
            shown_share(proof.agreement, proof.num_images),
            f"{proof.largest_difference:.0e}",
            "–"
            if proof.accuracy_after is None
            else shown_share(proof.accuracy_after, proof.num_images),
            f"{proof.alone_per_s:,.0f} / {proof.batched_per_s:,.0f}",
        )
        for name, proof in proofs.items()
    ]
    sources = sorted({f"{proof.num_images:,} images ({proof.source})" for proof in proofs.values()})
    return {"rows": rows, "sources": sources}
