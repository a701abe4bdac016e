"""The log loss of linear heads on standardised features, read in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgclf.errors import ArgumentError
from imgclf.training.lbfgs import Vector

__all__ = [
    "Features",
    "Labels",
    "Split",
    "curvature_at_zero",
    "figures",
    "finite_mean",
    "penalised_loss",
    "standardisation",
]

CONSTANT_SHARE = 1e-6
"""Features that vary by less than this share of their size are rounding (float32 has 6e-8)."""

CHUNK_VALUES = 2**21
"""Features that are standardised at a time: 8 MiB in float32."""

FLOAT64_VALUES = 2**22
"""Up to so many features, everything is computed in float64: rounding costs more than time."""

Features = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The images of a split, and what their loss is made of."""

    features: Features
    labels: Labels
    num_classes: int
    class_weights: Vector
    mean: Vector
    inverse_scale: float
    label_smoothing: float = 0.0

    @property
    def num_outputs(self) -> int:
        """One for two classes, else one a class."""
        return 1 if self.num_classes == 2 else self.num_classes

    @property
    def image_weights(self) -> Vector:
        """Weights of the images, of sum 1."""
        weights: Vector = self.class_weights[self.labels]
        weights /= weights.sum()
        return weights

    def chunks(self) -> Iterator[tuple[slice, Features]]:
        """Yield standardised rows of features, and which they are."""
        dtype = np.float64 if self.features.size <= FLOAT64_VALUES else np.float32
        mean = self.mean.astype(dtype)
        for part in _parts(self.features):
            rows = np.subtract(self.features[part], mean, dtype=dtype)
            rows *= dtype(self.inverse_scale)
            yield part, rows

    def targets(self, part: slice) -> Vector:
        """Return smoothed one-hot labels, ``(images, outputs)``."""
        columns = np.arange(self.num_classes)[-self.num_outputs :]
        is_true = self.labels[part, np.newaxis] == columns
        targets: Vector = (
            is_true * (1 - self.label_smoothing) + self.label_smoothing / self.num_classes
        )
        return targets


def penalised_loss(split: Split, solution: Vector, strength: float) -> tuple[float, Vector]:
    """Return weighted log loss plus penalty, and the gradient.

    Args:
        split: The images.
        solution: ``(num_features + 1, outputs)``, the bias in the last row.
        strength: Of the penalty on all rows but the last.

    Returns:
        The value, and the gradient in the shape of `solution`.
    """
    gradient = np.zeros_like(solution)
    weights, loss = split.image_weights, 0.0
    for part, rows in split.chunks():
        targets = split.targets(part)
        losses, probabilities = _losses(_logits(rows, solution), targets)
        loss += float(weights[part] @ losses)
        residuals = (probabilities - targets) * weights[part, np.newaxis]
        gradient[:-1] += rows.T @ residuals.astype(rows.dtype)
        gradient[-1] += residuals.sum(axis=0)
    kernel = solution[:-1]
    gradient[:-1] += strength * kernel
    return loss + 0.5 * strength * float(np.vdot(kernel, kernel)), gradient


def figures(split: Split, solution: Vector) -> tuple[float, float]:
    """Return weighted log loss and accuracy."""
    weights, loss, num_right = split.image_weights, 0.0, 0
    for part, rows in split.chunks():
        logits = _logits(rows, solution)
        losses, _ = _losses(logits, split.targets(part))
        loss += float(weights[part] @ losses)
        predicted = logits[:, 0] > 0 if split.num_outputs == 1 else logits.argmax(axis=1)
        num_right += int(np.count_nonzero(predicted == split.labels[part]))
    return loss, num_right / len(split.labels)


def _logits(rows: Features, solution: Vector) -> Features:
    logits: Features = rows @ solution[:-1].astype(rows.dtype) + solution[-1].astype(rows.dtype)
    return logits


def _losses(logits: Features, targets: Vector) -> tuple[Vector, Features]:
    """Return the log loss ``(images,)`` and the probabilities ``(images, outputs)``."""
    if logits.shape[1] == 1:
        log_probabilities = -np.logaddexp(0, -logits)
        losses = (1 - targets) * logits - log_probabilities
        return losses[:, 0], np.exp(log_probabilities)
    shifted = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted)
    sums = probabilities.sum(axis=1, keepdims=True)
    losses = np.log(sums[:, 0]) - np.einsum("ij,ij->i", targets, shifted)
    return losses, probabilities / sums


def curvature_at_zero(train: Split) -> float:
    """Return the second derivative of the loss for an average row of a head that knows nothing."""
    share = 1 / train.num_classes
    return share * (1 - share)


def standardisation(features: Features) -> tuple[Vector, float]:
    """Return the mean of each feature, and the inverse of their common scale.

    The features of one layer are of one kind, so one scale fits them all, the root of their mean
    variance. A scale for each one is guesswork from few images: it blows up a feature that happens
    to vary little among them. With five images a class the common scale gave 97.0 % instead of
    86.0 %, with twenty 98.2 instead of 97.8, with 400 both 99.2 (cats and dogs, EfficientNet-Lite).
    """
    mean = finite_mean("train", features)
    squares = 0.0
    for part in _parts(features):
        deviations = (features[part] - mean).ravel()
        squares += float(deviations @ deviations)
    scale = np.sqrt(squares / features.size)
    is_constant = scale <= CONSTANT_SHARE * np.abs(mean).max()
    return mean, 0.0 if is_constant else float(1 / scale)


def finite_mean(name: str, features: Features) -> Vector:
    """Return the mean of each feature, or refuse one that is not finite."""
    total = np.zeros(features.shape[1])
    for part in _parts(features):
        total += features[part].sum(axis=0, dtype=np.float64)
    if not np.isfinite(total).all():
        raise ArgumentError(
            f"{name}_features are not finite: feature {int(np.argmin(np.isfinite(total)))} is NaN "
            "or infinite in some image."
        )
    mean: Vector = total / len(features)
    return mean


def _parts(features: Features) -> Iterator[slice]:
    """Yield slices of as many rows as are handled at a time."""
    num_images, num_features = features.shape
    step = max(1, CHUNK_VALUES // num_features)
    for first in range(0, num_images, step):
        yield slice(first, first + step)
