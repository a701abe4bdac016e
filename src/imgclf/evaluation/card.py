"""What an evaluation shows in a notebook: verdict, remarks, matrix, classes, and its mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from imgclf.data.pixels.decoder import decode
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import ImageError
from imgclf.figures.predictions import predicted_classes
from imgclf.figures.shares import shown_range, shown_share
from imgclf.pictures.confusion_matrix import confusion_picture
from imgclf.pictures.gallery import GalleryItem, gallery
from imgclf.pictures.markup import as_text, card, figures_table, remarks
from imgclf.pictures.picture import Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.figures.metrics import ClassificationMetrics

__all__ = ["evaluation_card", "mistakes_picture"]

MOST_CLASSES = 20
"""Classes in the table; of more, those of lowest recall."""

THUMBNAIL = InputPolicy((168, 168), resize="crop")


def evaluation_card(
    metrics: ClassificationMetrics,
    names: Sequence[str],
    verdict: Sequence[str],
    warnings: Sequence[str],
) -> str:
    """Return an evaluation as HTML.

    Args:
        metrics: The figures.
        names: Names of the classes.
        verdict: What they mean, in sentences.
        warnings: Remarks.

    Returns:
        HTML; names are escaped.
    """
    first, *others = verdict
    interval, of = metrics.accuracy_interval, metrics.num_images
    accuracy = (
        f"{metrics.num_correct} of {of} images right: {shown_share(metrics.accuracy, of)}, 95% "
        f"interval {shown_range(interval.low, interval.high, of)}"
    )
    classes = sorted(metrics.classes, key=lambda item: item.recall)[:MOST_CLASSES]
    rows = [
        (
            item.class_name,
            shown_share(item.recall),
            shown_share(item.precision),
            f"{item.support:,}",
        )
        for item in (metrics.classes if len(metrics.classes) <= MOST_CLASSES else classes)
    ]
    return card(
        first,
        [
            *(f"<div>{as_text(sentence)}</div>" for sentence in (*others, accuracy)),
            remarks(warnings),
            '<div style="display:flex;flex-wrap:wrap;gap:24px;align-items:flex-start">',
            f"<div>{confusion_picture(metrics.confusion, names).html}</div>",
            figures_table(("class", "recall", "precision", "images"), rows),
            "</div>",
        ],
    )


def mistakes_picture(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    paths: Sequence[str],
    names: Sequence[str],
    most: int,
) -> Picture:
    """Show the wrong answers, the surest first.

    Args:
        labels: ``(num_images,)`` true class indices.
        probabilities: float64 ``(num_images, num_classes)``.
        paths: ``(num_images,)`` paths of the images.
        names: Names of the classes.
        most: Images at the most.

    Returns:
        The picture; an image that is gone meanwhile has an empty place.
    """
    predicted, sureness = predicted_classes(probabilities), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    if not len(wrong):
        return Picture("No wrong answers", card("No wrong answers", []))
    chosen = wrong[np.argsort(-sureness[wrong], kind="stable")][:most].tolist()
    title = f"{len(chosen)} of {len(wrong)} wrong answers, the surest first"
    items = []
    for index in chosen:
        true, answered = names[labels[index]], names[predicted[index]]
        caption = f"{true}, answered {answered} {shown_share(sureness[index], digits=0)}"
        items.append(GalleryItem(_thumbnail(paths[index]), caption, paths[index]))
    return Picture(title, card(title, [gallery(items)]))


def _thumbnail(path: str) -> NDArray[np.uint8] | None:
    try:
        return decode(path, THUMBNAIL)
    except ImageError:
        return None
