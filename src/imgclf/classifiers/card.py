"""What a classifier shows in a notebook: its classes, its figures, and what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgclf.figures.shares import shown_range, shown_share
from imgclf.pictures.markup import card, facts_table

if TYPE_CHECKING:
    from imgclf.classifiers.record import ClassifierRecord

__all__ = ["classifier_card", "shown_classes"]

MOST_CLASSES = 12

ENGINES = {
    "litert": "LiteRT",
    "keras": "Keras",
    "onnx": "ONNX Runtime",
    "openvino": "OpenVINO",
}


def shown_classes(names: tuple[str, ...], most: int = MOST_CLASSES) -> str:
    """Name the classes; of many the first ones."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def classifier_card(record: ClassifierRecord, engine: str) -> str:
    """Return a classifier as HTML; its network is not built for it."""
    policy, figures, data = record.policy, record.figures, record.data
    names = tuple(record.class_names)
    height, width = policy.image_size
    colours = "grey" if policy.channels == 1 else "colour"
    facts = [
        ("classes", shown_classes(names)),
        ("images", f"{height} x {width} pixels, {colours}, {policy.resize}"),
    ]
    if data is not None:
        facts.append(
            (
                "trained on",
                f"{data.num_train:,} images; {data.num_val:,} validation images chose its weights",
            )
        )
    if figures is not None:
        of = figures.num_images
        chosen = "" if figures.split == "test" else ", which also chose the epoch"
        accuracy = (
            f"{shown_share(figures.accuracy, of)} of {of:,} {figures.split} images{chosen} (95% "
            f"interval {shown_range(figures.accuracy_low, figures.accuracy_high, of)}); always "
            f"answering the most frequent class: {shown_share(figures.majority_accuracy, of)}"
        )
        facts.append(("accuracy", accuracy))
    flags = "flagged" if record.familiarity is not None else "not flagged"
    facts.append(("unfamiliar images", flags))
    facts.append(("computed by", ENGINES[engine]))
    if record.file is not None:
        facts.append(("file", str(record.file)))
    return card(f"Classifier of {len(names)} classes", [facts_table(facts)])
