"""Fingerprints of the training images: short hashes, and one tiny mean image of each class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TrainingFingerprints", "fingerprint_images", "short_hashes", "tiny_thumbnails"]

THUMBNAIL_SIDE = 8
"""Pixels a side of the thumbnails whose class means are a baseline."""

MEMBER_TENSORS = frozenset({"hashes", "class_means"})


@dataclass(frozen=True, slots=True, eq=False)
class TrainingFingerprints:
    """Enough to recognise a training image, and to classify without any network.

    Attributes:
        hashes: uint64 ``(num_images,)``, sorted: the first 8 bytes of each file's sha256.
        class_means: float32 ``(num_classes, 8 * 8 * channels)``, mean thumbnails.
    """

    hashes: NDArray[np.uint64]
    class_means: NDArray[np.float32]

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """Return the content of the bundle's member."""
        return {"hashes": self.hashes, "class_means": self.class_means}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[Any]], num_classes: int, channels: int
    ) -> TrainingFingerprints | None:
        """Return the fingerprints; None where the tensors are not what `to_tensors` returns."""
        if set(tensors) != MEMBER_TENSORS:
            return None
        hashes, means = tensors["hashes"], tensors["class_means"]
        shape = (num_classes, THUMBNAIL_SIDE**2 * channels)
        if hashes.dtype != np.uint64 or hashes.ndim != 1:
            return None
        if means.dtype != np.float32 or means.shape != shape:
            return None
        return cls(hashes, means)

    def count_seen(self, hashes: NDArray[np.uint64]) -> int:
        """Count how many of these images were training images."""
        return int(np.isin(hashes, self.hashes).sum())

    def nearest_class(self, thumbnails: NDArray[np.float32]) -> NDArray[np.int64]:
        """Classify ``(num_images, values)`` thumbnails by the nearest mean thumbnail."""
        # |x - m|^2 without the |x|^2 that is the same for every class.
        distances = (self.class_means**2).sum(axis=1) - 2 * thumbnails @ self.class_means.T
        nearest: NDArray[np.int64] = np.argmin(distances, axis=1).astype(np.int64)
        return nearest


def short_hashes(sha256: Iterable[str]) -> NDArray[np.uint64]:
    """Return the first 8 bytes of each hash, ``(num_images,)``."""
    return np.array([int(digest[:16], 16) for digest in sha256], np.uint64)


def tiny_thumbnails(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Average each image down to 8 x 8 pixels.

    Args:
        pixels: uint8 ``(batch, height, width, channels)``.

    Returns:
        float32 ``(batch, 8 * 8 * channels)``, 0..255.
    """
    import cv2  # a tenth of a second, which one photo does not need

    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    small = [cv2.resize(image, side, interpolation=cv2.INTER_AREA).ravel() for image in pixels]
    return np.array(small, np.float32)


def fingerprint_images(
    batches: Iterable[NDArray[np.uint8]],
    labels: NDArray[np.int64],
    sha256: Sequence[str],
    num_classes: int,
) -> TrainingFingerprints:
    """Take the fingerprints of the training images.

    Args:
        batches: Their pixels, uint8 ``(batch, height, width, channels)``, a batch at a time.
        labels: ``(num_images,)`` class indices; every class occurs.
        sha256: ``(num_images,)`` hashes of the files.
        num_classes: Number of classes.

    Returns:
        The fingerprints.
    """
    sums: NDArray[np.float64] | None = None
    first = 0
    for batch in batches:
        thumbnails = tiny_thumbnails(batch)
        if sums is None:
            sums = np.zeros((num_classes, thumbnails.shape[1]))
        np.add.at(sums, labels[first : first + len(batch)], thumbnails)
        first += len(batch)
    assert sums is not None, "a training has images"
    means = sums / np.bincount(labels, minlength=num_classes)[:, np.newaxis]
    return TrainingFingerprints(np.sort(short_hashes(sha256)), means.astype(np.float32))
