"""What batches show in a notebook: numbers, classes and some images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from imgclf.figures.shares import shown_share
from imgclf.pictures.gallery import GalleryItem, gallery
from imgclf.pictures.markup import card, facts_table
from imgclf.pictures.picture import Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.data.batches.batch_source import BatchSource
    from imgclf.data.pixels.input_policy import InputPolicy

__all__ = ["batches_card", "batches_picture", "summary"]

SHOWN = 8
"""Images on a card."""

MOST_CLASSES = 20

PARTLY = 0.01
"""Share of a mixed image's label from which on the class is named."""


def summary(source: BatchSource, policy: InputPolicy) -> str:
    """Say in a line what the batches hold."""
    height, width, channels = policy.pixel_shape
    colours = "grey" if channels == 1 else "colour"
    return (
        f"{source.num_samples:,} images of {source.num_classes} classes in "
        f"{source.steps_per_epoch:,} batches of {source.batch_size}, {height} x {width} pixels, "
        f"{colours}"
    )


def batches_card(source: BatchSource, policy: InputPolicy, names: Sequence[str]) -> str:
    """Return batches as HTML."""
    counts = np.bincount(source.labels, minlength=len(names)).tolist()
    facts = [(name, f"{count:,} images") for name, count in zip(names, counts, strict=True)]
    shown = facts[:MOST_CLASSES]
    if len(facts) > MOST_CLASSES:
        shown.append(("", f"and {len(facts) - MOST_CLASSES} more classes"))
    picture = batches_picture(source, names, SHOWN, 0)
    return card(summary(source, policy), [facts_table(shown), picture.html])


def batches_picture(source: BatchSource, names: Sequence[str], most: int, epoch: int) -> Picture:
    """Show the first images of an epoch as the network gets them.

    Args:
        source: What makes the batches.
        names: Names of the classes.
        most: Images at the most.
        epoch: Which epoch, from 0 on: each varies the images in another way.

    Returns:
        The picture.
    """
    items: list[GalleryItem] = []
    for step in range(source.steps_per_epoch):
        images, labels = source.load(epoch, step)
        if source.data_format == "channels_first":
            images = images.transpose(0, 2, 3, 1)
        items += [
            GalleryItem(image, _caption(label, names))
            for image, label in zip(images, labels, strict=True)
        ]
        if len(items) >= most:
            break
    shown = items[:most]
    return Picture(f"{len(shown)} images of an epoch", gallery(shown))


def _caption(label: NDArray[np.float32], names: Sequence[str]) -> str:
    """Return the class, or each part of a mixed image."""
    shares = [1 - float(label[0]), float(label[0])] if len(names) == 2 else label.tolist()
    named = [(name, share) for name, share in zip(names, shares, strict=True) if share >= PARTLY]
    if len(named) == 1:
        return named[0][0]
    return " + ".join(f"{name} {shown_share(share, digits=0)}" for name, share in named)
