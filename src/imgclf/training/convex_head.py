"""The head of a network by a convex solver: multinomial logistic regression on features.

Behind a frozen backbone the best head is the minimum of a convex function: there are no epochs and
no learning rate, and the same features give the same head. The strength of its L2 penalty is the
one setting; validation images choose it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imgclf.errors import ArgumentError
from imgclf.training.lbfgs import Vector, minimize
from imgclf.training.logistic_loss import (
    Features,
    Labels,
    Split,
    curvature_at_zero,
    figures,
    finite_mean,
    penalised_loss,
    standardisation,
)

if TYPE_CHECKING:
    import keras

__all__ = [
    "DEFAULT_PATH", "ConvexHead", "TriedStrength", "fit_convex_head", "measure_head", "set_head",
]  # fmt: skip

DEFAULT_PATH = (0.25, 0.05, 0.01, 0.002, 0.0004)
"""Strengths that are tried; the middle one is taken where validation images are too few."""

FEWEST_TO_CHOOSE = 50
"""Validation images with which a strength can be chosen; fewer ones choose worse than none."""

LEAST_CURVATURE = 1e-3
"""Where nearly all images are of one class, the curvature says nothing of the first step."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class TriedStrength:
    """What one strength of the penalty gave.

    Attributes:
        strength: Of the L2 penalty.
        val_loss: Log loss on the validation images, weighted like the training's; None without.
        val_accuracy: Share of the validation images that are right; None without.
    """

    strength: float
    val_loss: float | None
    val_accuracy: float | None


@dataclass(frozen=True, slots=True, eq=False)
class ConvexHead:
    """A head that acts on raw features: ``features @ kernel + bias`` are its logits.

    Attributes:
        kernel: float32 ``(num_features, outputs)``; one output, the logit of the second class, for
            two classes, else one logit a class.
        bias: float32 ``(outputs,)``.
        chosen: The strength that it was fitted with.
        path: Every strength that was tried, from strong to weak.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    chosen: TriedStrength
    path: tuple[TriedStrength, ...]


def fit_convex_head(
    train_features: Features,
    train_labels: Labels,
    val_features: Features | None = None,
    val_labels: Labels | None = None,
    *,
    num_classes: int,
    class_weight: Mapping[int, float] | None = None,
    label_smoothing: float = 0.0,
    strengths: Sequence[float] = DEFAULT_PATH,
    tolerance: float = 1e-5,
    progress: Progress | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
) -> ConvexHead:
    """Fit a head to features by L2-penalised logistic regression.

    Minimised is the mean, weighted log loss plus ``strength / 2`` times the squared norm of the
    kernel; the bias is free. Before, the features are centred and divided by their common scale,
    which the kernel makes up for afterwards. So a strength means the same for ten images and for
    50,000, at any scale of the features; scikit-learn's ``C`` is ``1 / (strength * num_images)``.

    The strengths are tried from strong to weak, each from the solution before. The accuracy on the
    validation images chooses, and of equals the strongest: where every image is right, the log loss
    would only ask for surer answers, which calibration gives too. It ends where the accuracy falls;
    the weakest strengths take longest. With class weights the log loss chooses, which they weigh.
    With fewer than 50 validation images, only the middle strength is fitted.

    Features are read in chunks and may be memory-mapped; beside them it needs some chunks and
    twenty-odd times the head, in float64.

    Args:
        train_features: float32 ``(num_images, num_features)``.
        train_labels: Integer ``(num_images,)``, 0 to ``num_classes - 1``; classes may be missing.
        val_features: As ``train_features``; choose the strength.
        val_labels: As ``train_labels``.
        num_classes: At least 2.
        class_weight: Weight of each class in the loss, 1 where it is missing; scaled so that the
            mean over the images is 1.
        label_smoothing: Label smoothing, 0 to 1 (exclusive).
        strengths: Strengths of the penalty, each above 0.
        tolerance: Share of the loss that may still be gained where a fit ends. At 1e-5
            no figure notices it; at 1e-11 probabilities are those of scikit-learn to 1e-4.
        progress: Called with the number of strengths that are done and of all.
        stop_requested: Asked before each step; what has been found is returned then.

    Returns:
        The head that answers most validation images rightly.

    Raises:
        ArgumentError: An argument is out of range, or features and labels do not fit together.

    Example:
        >>> head = fit_convex_head(train_features, train_labels, val_features, val_labels,
        ...                        num_classes=2)                             # doctest: +SKIP
        >>> set_head(model, head)                                            # doctest: +SKIP
    """
    _check_settings(num_classes, class_weight, label_smoothing, strengths)
    _check_split("train", train_features, train_labels, num_classes)
    weights = _class_weights(class_weight, num_classes)
    mean, inverse_scale = standardisation(train_features)
    train = Split(
        train_features, train_labels, num_classes, weights, mean, inverse_scale, label_smoothing
    )
    val = None
    if val_features is not None and val_labels is not None and len(val_features):
        _check_split("val", val_features, val_labels, num_classes, len(mean))
        finite_mean("val", val_features)
        val = Split(val_features, val_labels, num_classes, weights, mean, inverse_scale)
    path = sorted(map(float, strengths), reverse=True)
    if val is None or len(val.labels) < FEWEST_TO_CHOOSE:
        path = [path[len(path) // 2]]
    tried: list[tuple[TriedStrength, Vector]] = []
    best_score = -math.inf
    for one in _solutions(train, val, path, tolerance, stop_requested):
        tried.append(one)
        if progress is not None:
            progress(len(tried), len(path))
        score = _score(one[0], by_loss=class_weight is not None)
        best_score = max(best_score, score)
        if stop_requested() or score < best_score:
            break
    # Of equals the first, which is the strongest.
    best, solution = max(tried, key=lambda one: _score(one[0], by_loss=class_weight is not None))
    kernel = solution[:-1] * inverse_scale
    bias = solution[-1] - mean @ kernel
    return ConvexHead(
        kernel.astype(np.float32),
        bias.astype(np.float32),
        best,
        tuple(one for one, _ in tried),
    )


def measure_head(head: ConvexHead, features: Features, labels: Labels) -> tuple[float, float]:
    """Measure a head on features.

    Args:
        head: The head.
        features: float32 ``(num_images, num_features)``.
        labels: Integer ``(num_images,)``.

    Returns:
        Mean log loss, and the share of the images that are right.
    """
    num_features, outputs = head.kernel.shape
    solution = np.concatenate([head.kernel, head.bias[np.newaxis]]).astype(np.float64)
    num_classes = max(2, outputs)
    split = Split(features, labels, num_classes, np.ones(num_classes), np.zeros(num_features), 1.0)
    return figures(split, solution)


def set_head(model: keras.Model, head: ConvexHead) -> None:
    """Put a head into the layer called ``head`` of a network.

    Args:
        model: A network that ends in a dense layer of this name, as those of the zoo do.
        head: What `fit_convex_head` found for the features that this layer reads.

    Raises:
        ArgumentError: The layer is missing, or of another shape.
    """
    layer = next((layer for layer in model.layers if layer.name == "head"), None)
    shapes = None if layer is None else [tuple(weight.shape) for weight in layer.weights]
    if layer is None or shapes != [head.kernel.shape, head.bias.shape]:
        found = "no layer 'head'" if shapes is None else f"a layer 'head' with weights {shapes}"
        num_features, outputs = head.kernel.shape
        raise ArgumentError(
            f"The network {model.name!r} has {found}: this head was fitted to {num_features} "
            f"features and has {outputs} output(s), so give a network whose dense layer 'head' "
            f"has weights {[head.kernel.shape, head.bias.shape]}."
        )
    layer.set_weights([head.kernel, head.bias])


def _solutions(
    train: Split,
    val: Split | None,
    path: Sequence[float],
    tolerance: float,
    stop_requested: Callable[[], bool],
) -> Iterator[tuple[TriedStrength, Vector]]:
    """Yield figures and solution ``(num_features + 1, outputs)`` of each strength in turn."""
    shape = (train.features.shape[1] + 1, train.num_outputs)
    solution = np.zeros(shape)
    curvature = max(curvature_at_zero(train), LEAST_CURVATURE)
    for strength in path:

        def function(point: Vector, strength: float = strength) -> tuple[float, Vector]:
            value, gradient = penalised_loss(train, point.reshape(shape), strength)
            return value, gradient.ravel()

        solution = minimize(
            function,
            solution.ravel(),
            curvature=curvature + strength,
            tolerance=tolerance,
            stop_requested=stop_requested,
        ).point.reshape(shape)
        loss, accuracy = (None, None) if val is None else figures(val, solution)
        yield TriedStrength(strength, loss, accuracy), solution


def _score(tried: TriedStrength, *, by_loss: bool) -> float:
    """Return what is largest for the best strength."""
    if tried.val_loss is None or tried.val_accuracy is None:
        return 0.0
    return -tried.val_loss if by_loss else tried.val_accuracy


def _class_weights(class_weight: Mapping[int, float] | None, num_classes: int) -> Vector:
    given = class_weight or {}
    return np.array([given.get(label, 1.0) for label in range(num_classes)], np.float64)


def _check_settings(
    num_classes: int,
    class_weight: Mapping[int, float] | None,
    label_smoothing: float,
    strengths: Sequence[float],
) -> None:
    if num_classes < 2:
        raise ArgumentError(f"num_classes={num_classes} is not accepted: give 2 or more.")
    if not 0 <= label_smoothing < 1:
        raise ArgumentError(
            f"label_smoothing={label_smoothing} is not accepted: give 0 to 1 (exclusive)."
        )
    if not strengths or not all(0 < one < np.inf for one in strengths):
        raise ArgumentError(f"strengths={list(strengths)} is not accepted: give numbers above 0.")
    if class_weight and not all(0 < one < np.inf for one in class_weight.values()):
        raise ArgumentError(
            f"class_weight={dict(class_weight)} is not accepted: give numbers above 0."
        )


def _check_split(
    name: str,
    features: Features,
    labels: Labels,
    num_classes: int,
    num_features: int | None = None,
) -> None:
    """Refuse features and labels that do not belong together."""
    wanted = "num_features" if num_features is None else num_features
    is_matrix = features.ndim == 2 and features.dtype.kind == "f" and features.size > 0
    if not is_matrix or (num_features is not None and features.shape[1] != num_features):
        raise ArgumentError(
            f"{name}_features is {features.dtype} of shape {features.shape}: give floating "
            f"(num_images, {wanted}), with at least one image."
        )
    if labels.shape != features.shape[:1] or labels.dtype.kind not in "iu":
        raise ArgumentError(
            f"{name}_labels is {labels.dtype} of shape {labels.shape}: give a whole number for "
            f"each of the {len(features)} images."
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ArgumentError(
            f"{name}_labels go from {labels.min()} to {labels.max()}: with {num_classes} classes "
            f"give 0 to {num_classes - 1}."
        )
