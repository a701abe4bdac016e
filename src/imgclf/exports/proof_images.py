"""The images that an export is proven on, and those that int8 is calibrated on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from imgclf.classifiers.probe_images import noise_images
from imgclf.data.division.recorded_split import read_rows
from imgclf.data.pixels.sources import decode_sources, expand_sources
from imgclf.exports.proof import ProofImages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.classifiers.classifier import Classifier

__all__ = ["CalibrationImages", "calibration_images", "proof_images"]

_Item = TypeVar("_Item")

MOST_IMAGES = 500
"""Images that a proof takes; of more, evenly chosen ones."""

MOST_CALIBRATION = 100


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationImages:
    """Images from which int8 learns the range of each activation.

    Attributes:
        pixels: uint8 ``(num_images, height, width, channels)``.
        names: Their paths, or what they are.
    """

    pixels: NDArray[np.uint8]
    names: tuple[str, ...]


def proof_images(
    classifier: Classifier, images: str | os.PathLike[str] | None, most: int = MOST_IMAGES
) -> ProofImages:
    """Collect images and the classifier's own answers to them.

    Args:
        classifier: The classifier.
        images: A folder; where all images lie in folders with the names of classes, accuracies are
            measured, too. None takes the held-out images of the run that the classifier's file lies
            in, and noise where there is none.
        most: Most images.

    Returns:
        The images.
    """
    if images is not None:
        files = [str(path) for path in expand_sources(images)]
        names, source = [Path(file).parent.name for file in files], f"images of {images}"
    else:
        held_out = _recorded(classifier, "test") or _recorded(classifier, "val")
        files, names = [file for file, _ in held_out], [name for _, name in held_out]
        source = "held-out images of its run"
    chosen = _evenly(list(zip(files, names, strict=True)), most)
    kept: list[int] = []
    batches = decode_sources([file for file, _ in chosen], classifier.policy, kept, strict=False)
    parts = list(batches)
    if not parts:
        pixels = noise_images(classifier.policy.pixel_shape)
        source = "noise: give images for a proof on photos"
        return ProofImages(pixels, classifier.predict_pixels([pixels]), None, source)
    pixels = np.concatenate(parts)
    labels = _labels(classifier.class_names, [chosen[place][1] for place in kept])
    return ProofImages(pixels, classifier.predict_pixels([pixels]), labels, source)


def calibration_images(
    classifier: Classifier, images: str | os.PathLike[str] | None
) -> CalibrationImages:
    """Collect training images; where the run's are gone, some of those that were given.

    Args:
        classifier: The classifier.
        images: A folder, or None.

    Returns:
        The images; none where there are no photos.
    """
    files = [file for file, _ in _recorded(classifier, "train")]
    if not files and images is not None:
        files = [str(path) for path in expand_sources(images)]
    kept: list[int] = []
    chosen = _evenly(files, MOST_CALIBRATION)
    parts = list(decode_sources(chosen, classifier.policy, kept, strict=False))
    pixels = np.zeros((0, *classifier.policy.pixel_shape), np.uint8)
    return CalibrationImages(
        np.concatenate([pixels, *parts]), tuple(chosen[place] for place in kept)
    )


def _recorded(classifier: Classifier, split: str) -> list[tuple[str, str]]:
    """Return path and class of a run's images that are still there."""
    file = classifier.record.file
    table = None if file is None else file.parent / "split.csv"
    if table is None or not table.is_file():
        return []
    rows = [row for _, row in read_rows(table) if row["split"] == split]
    return [(row["path"], row["class"]) for row in rows if Path(row["path"]).is_file()]


def _labels(class_names: Sequence[str], names: Sequence[str]) -> NDArray[np.int64] | None:
    place = {name: index for index, name in enumerate(class_names)}
    if not all(name in place for name in names):
        return None
    return np.array([place[name] for name in names], np.int64)


def _evenly(items: Sequence[_Item], most: int) -> list[_Item]:
    if len(items) <= most:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, most).astype(int)]
