"""How far features lie from the classes of a pretrained network, as a Gaussian measures it.

The classes share one covariance (K. Lee et al., "A Simple Unified Framework for Detecting
Out-of-Distribution Samples and Adversarial Attacks", NeurIPS 2018, arXiv:1807.03888), of features
scaled to unit length (M. Mueller and M. Hein, "Mahalanobis++", ICML 2025, arXiv:2505.18032). Of the
covariance the strongest directions are kept, and one variance for all others: probabilistic
principal components (M. Tipping and C. Bishop 1999), which need few images and little room.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgclf.figures.predictions import FloatArray, Labels

__all__ = ["ClassGaussian", "fit_class_gaussian"]

MOST_DIRECTIONS = 64
"""Directions that are told apart: with 64 more strange images of CIFAR-10 are flagged than with 32
or with 256 (`benchmarks/unfamiliar.py` has the images)."""

SMALLEST = 1e-12
"""Below it a length divides nothing, and a variance is taken for it."""

TENSORS = ("means", "directions", "variances")


@dataclass(frozen=True, slots=True, eq=False)
class ClassGaussian:
    """A Gaussian of the same shape around the mean of each class.

    Attributes:
        means: float32 ``(num_classes, features)``, of the classes' unit-length features; a class
            without images has no row.
        directions: float32 ``(num_directions, features)``, orthonormal: along them the images of
            one class differ most.
        variances: float32 ``(num_directions + 1,)``, along each of them, then along all others.
    """

    means: NDArray[np.float32]
    directions: NDArray[np.float32]
    variances: NDArray[np.float32]

    def log_distances(self, features: NDArray[np.float32]) -> FloatArray:
        """Return the logarithm of each image's squared distance to the nearest class.

        Args:
            features: ``(num_images, features)``, of any length.

        Returns:
            float64 ``(num_images,)``.
        """
        rows = _unit_length(features)
        directions, variances = self.directions.astype(np.float64), self.variances.astype(float)
        nearest = np.full(len(rows), np.inf)
        for mean in self.means.astype(np.float64):
            gaps = rows - mean
            along = (gaps @ directions.T) ** 2
            across = np.maximum((gaps**2).sum(axis=1) - along.sum(axis=1), 0)
            distances = (along / variances[:-1]).sum(axis=1) + across / variances[-1]
            nearest = np.minimum(nearest, distances)
        logarithms: FloatArray = np.log(nearest + SMALLEST)
        return logarithms

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {name: getattr(self, name) for name in TENSORS}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[Any]], num_features: int, num_classes: int
    ) -> ClassGaussian:
        """Read what `to_tensors` returned.

        Args:
            tensors: The arrays by name, whatever they are.
            num_features: What the network's head reads.
            num_classes: Number of classes.

        Returns:
            The Gaussian.

        Raises:
            ValueError: The arrays are none.
        """
        if set(tensors) != set(TENSORS):
            raise ValueError("other tensors than those of a Gaussian")
        means, directions, variances = (tensors[name] for name in TENSORS)
        if any(tensor.dtype != np.float32 for tensor in tensors.values()):
            raise ValueError("tensors that are not float32")
        if means.ndim != 2 or not 0 < len(means) <= num_classes or means.shape[1] != num_features:
            raise ValueError(f"means of shape {means.shape}")
        if directions.ndim != 2 or len(directions) > MOST_DIRECTIONS:
            raise ValueError(f"directions of shape {directions.shape}")
        if directions.shape[1] != num_features or variances.shape != (len(directions) + 1,):
            raise ValueError(f"variances of shape {variances.shape}")
        if not (variances >= np.float32(SMALLEST)).all():
            raise ValueError("a variance that is not above 0")
        return cls(means, directions, variances)


def fit_class_gaussian(
    features: NDArray[np.float32], labels: Labels, num_classes: int
) -> ClassGaussian:
    """Find the classes' means, and the directions in which the images of a class differ.

    Args:
        features: float32 ``(num_images, features)``.
        labels: Integer ``(num_images,)``.
        num_classes: Number of classes.

    Returns:
        The Gaussian; there are at most half as many directions as images tell of.
    """
    rows = _unit_length(features)
    known = [label for label in range(num_classes) if (labels == label).any()]
    means = np.stack([rows[labels == label].mean(axis=0) for label in known])
    gaps = rows - means[np.searchsorted(known, labels)]
    values, vectors = np.linalg.eigh(gaps.T @ gaps / len(gaps))  # ascending
    size = rows.shape[1]
    num_directions = max(0, min(MOST_DIRECTIONS, (len(rows) - len(known)) // 2, size - 1))
    rest = max(values[: size - num_directions].mean(), SMALLEST)
    strongest = np.maximum(values[size - num_directions :][::-1], rest)
    directions = vectors[:, size - num_directions :][:, ::-1].T
    return ClassGaussian(
        means.astype(np.float32),
        np.ascontiguousarray(directions, np.float32),
        np.maximum([*strongest, rest], 2 * SMALLEST).astype(np.float32),
    )


def _unit_length(features: NDArray[np.float32]) -> FloatArray:
    rows = features.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: FloatArray = rows / np.maximum(lengths, SMALLEST)
    return scaled
