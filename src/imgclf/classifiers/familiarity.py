"""How much an image resembles the training images, so that a tree is not just "99 % cat".

Of each of a network's feature layers but the last two, a few typical training images are kept for
every class: the centres of k-means over standardised features. An image's distance is that to the
nearest of them, a compact form of nearest neighbours (Y. Sun et al., "Out-of-Distribution Detection
with Deep Nearest Neighbors", ICML 2022, arXiv:2204.06507). The last two layers know little but what
tells the classes apart (V. Papyan et al., "Prevalence of neural collapse", PNAS 2020): there, other
things lie *nearer* to the classes than their own images do.

The logarithms of the layers' distances, in units of their spread over the validation images, are
averaged. What that average means is read off the validation images too: the share of them that
lie at least as far away.

Of a pretrained network one layer is asked, what its head reads: it knows a thousand kinds of things
and not only these classes. There the distance is that of `ClassGaussian`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from imgclf.classifiers.class_gaussian import ClassGaussian, fit_class_gaussian
from imgclf.figures.predictions import FloatArray, Labels

if TYPE_CHECKING:
    from imgclf.data.batches.dataset import Batches

__all__ = [
    "MOST_IMAGES",
    "UNFAMILIAR_BELOW",
    "Familiarity",
    "fit_familiarity",
    "fit_pretrained_familiarity",
    "learn_familiarity",
]

UNFAMILIAR_BELOW = 0.05
"""Familiarity below which an image is flagged: 95 % of the validation images are kept."""

MOST_IMAGES = 10_000
"""Training images that are looked at; of more, evenly chosen ones."""

MOST_FEATURES = 512
"""Features of a layer that are looked at; of more, evenly chosen ones."""

MOST_SCORES = 1001
"""Scores of validation images that are kept; of more, their quantiles."""

SMALLEST = 1e-12
"""Added to distances before their logarithm, and to spreads before a division."""

CENTRES_PER_CLASS = 4
"""Kinds of pictures that a class is thought to consist of."""

ROUNDS = 10
"""Rounds of k-means; most of the way is made in the first few."""

NUM_COLLAPSED = 2
"""Layers at the end, the last map and what the head reads, that are not looked at."""

LAYER_TENSORS = ("columns", "offset", "scale", "centres", "log_distance")

HEAD = "head/"
"""How the tensors of a pretrained network's Gaussian begin."""


_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, eq=False)
class LayerStatistics:
    """What is kept of one feature layer.

    Attributes:
        columns: int64 ``(chosen,)``, the features that are looked at.
        offset: float32 ``(chosen,)``, their mean over the training images.
        scale: float32 ``(chosen,)``, one over their spread there.
        centres: float32 ``(num_centres, chosen)``, typical images, shifted and scaled.
        log_distance: float32 ``(2,)``, mean and spread of the logarithm over validation images.
    """

    columns: NDArray[np.int64]
    offset: NDArray[np.float32]
    scale: NDArray[np.float32]
    centres: NDArray[np.float32]
    log_distance: NDArray[np.float32]

    def log_distances(self, features: NDArray[np.float32]) -> FloatArray:
        """Return the logarithm of each image's squared distance to the nearest centre."""
        values = (features[:, self.columns] - self.offset).astype(np.float64) * self.scale
        nearest = _squared_distances(values, self.centres.astype(np.float64)).min(axis=1)
        distances: FloatArray = np.log(np.maximum(nearest, 0) + SMALLEST)
        return distances

    def scores(self, features: NDArray[np.float32]) -> FloatArray:
        """Return the distances in units of their spread over validation images."""
        mean, spread = self.log_distance.astype(np.float64)
        scores: FloatArray = (self.log_distances(features) - mean) / spread
        return scores


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """What a classifier keeps to recognise images that are unlike its training images.

    Attributes:
        told_by: Statistics of the first feature layers, as `feature_tensors` orders them; or those
            of the last one, what the head of a pretrained network reads.
        validation_scores: float32 ``(count,)``, ascending.
    """

    told_by: tuple[LayerStatistics, ...] | ClassGaussian
    validation_scores: NDArray[np.float32]

    def measure(self, features: Sequence[NDArray[np.float32]]) -> FloatArray:
        """Say how familiar images look.

        Args:
            features: ``(num_images, features)`` of each layer.

        Returns:
            float64 ``(num_images,)``: the share of validation images that lie at least as far from
            the training images, 0 to 1.
        """
        if isinstance(self.told_by, ClassGaussian):
            scores = self.told_by.log_distances(features[-1])
        else:
            scores = _mean_scores(self.told_by, features)
        nearer = np.searchsorted(self.validation_scores, scores.astype(np.float32), side="left")
        shares: FloatArray = 1 - nearer / self.validation_scores.size
        return shares

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """Return the content of the bundle's member."""
        tensors: dict[str, NDArray[Any]] = {"validation_scores": self.validation_scores}
        if isinstance(self.told_by, ClassGaussian):
            own = self.told_by.to_tensors()
            return tensors | {f"{HEAD}{name}": tensor for name, tensor in own.items()}
        for index, layer in enumerate(self.told_by):
            tensors |= {f"{index}/{name}": getattr(layer, name) for name in LAYER_TENSORS}
        return tensors

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[Any]], sizes: Sequence[int], num_classes: int
    ) -> Familiarity:
        """Read what `to_tensors` returned.

        Args:
            tensors: The content of the bundle's member.
            sizes: Number of features of each of the network's layers.
            num_classes: Number of classes.

        Returns:
            The statistics.

        Raises:
            ValueError: The tensors do not fit the network.
        """
        tensors = dict(tensors)
        scores = tensors.pop("validation_scores", np.zeros(0, np.float32))
        if scores.dtype != np.float32 or scores.ndim != 1 or not 0 < scores.size <= MOST_SCORES:
            raise ValueError("no validation scores, or too many")
        if (np.diff(scores) < 0).any():
            raise ValueError("validation scores in no order")
        if not sizes:
            raise ValueError("features that the network does not give")
        if any(name.startswith(HEAD) for name in tensors):
            own = {name.removeprefix(HEAD): tensor for name, tensor in tensors.items()}
            return cls(ClassGaussian.from_tensors(own, sizes[-1], num_classes), scores)
        return cls(_read_layers(tensors, _told_by(sizes), num_classes), scores)


def _read_layers(
    tensors: Mapping[str, NDArray[Any]], sizes: Sequence[int], num_classes: int
) -> tuple[LayerStatistics, ...]:
    names = {f"{index}/{name}" for index in range(len(sizes)) for name in LAYER_TENSORS}
    if set(tensors) != names:
        raise ValueError("other tensors than those of the network's layers")
    layers = []
    for index, size in enumerate(sizes):
        layer = LayerStatistics(*(tensors[f"{index}/{name}"] for name in LAYER_TENSORS))
        _check_layer(layer, size, CENTRES_PER_CLASS * num_classes)
        layers.append(layer)
    return tuple(layers)


def learn_familiarity(
    features_of: Callable[[Iterable[NDArray[np.uint8]]], list[NDArray[np.float32]]],
    train: Batches,
    val: Batches,
) -> Familiarity | None:
    """Look at plain training images, and at validation images for what is usual.

    Args:
        features_of: `Classifier.features` of the trained classifier.
        train: What it was trained on.
        val: Images that it did not learn from.

    Returns:
        The statistics; None where the network gives nothing to go by.
    """
    every = -(-train.num_samples // MOST_IMAGES)
    return fit_familiarity(
        features_of(_every(train, every)),
        train.labels[::every],
        features_of(val.pixels()),
        train.num_classes,
    )


def _every(batches: Batches, step: int) -> Iterator[NDArray[np.uint8]]:
    """Yield each `step`-th image, a batch at a time."""
    first = 0
    for pixels in batches.pixels():
        yield pixels[-first % step :: step]
        first += len(pixels)


def fit_familiarity(
    train_features: Sequence[NDArray[np.float32]],
    labels: Labels,
    val_features: Sequence[NDArray[np.float32]],
    num_classes: int,
) -> Familiarity | None:
    """Learn what training images look like to a network, and how far validation images lie.

    Args:
        train_features: ``(num_train, features)`` of each layer, of plain training images.
        labels: Integer ``(num_train,)``, their classes.
        val_features: ``(num_val, features)`` of each layer, of images that were not learned from.
        num_classes: Number of classes.

    Returns:
        The statistics; None where there is no layer, or features are not finite.
    """
    given = (*train_features, *val_features)
    if not given or not all(np.isfinite(values).all() for values in given):
        return None
    pairs = zip(_told_by(train_features), _told_by(val_features), strict=True)
    layers = [_fit_layer(train, labels, val, num_classes) for train, val in pairs]
    return Familiarity(tuple(layers), _kept_scores(_mean_scores(layers, val_features)))


def fit_pretrained_familiarity(
    train_features: NDArray[np.float32],
    labels: Labels,
    val_features: NDArray[np.float32],
    num_classes: int,
) -> Familiarity | None:
    """Learn what training images look like to a pretrained network.

    Args:
        train_features: ``(num_train, features)``, what its head reads of plain training images.
        labels: Integer ``(num_train,)``, their classes.
        val_features: ``(num_val, features)``, of images that were not learned from.
        num_classes: Number of classes.

    Returns:
        The statistics; None where features are not finite.
    """
    if not (np.isfinite(train_features).all() and np.isfinite(val_features).all()):
        return None
    gaussian = fit_class_gaussian(train_features, labels, num_classes)
    return Familiarity(gaussian, _kept_scores(gaussian.log_distances(val_features)))


def _kept_scores(scores: FloatArray) -> NDArray[np.float32]:
    """Return scores of validation images in order; of many, their quantiles."""
    kept = np.sort(scores).astype(np.float32)
    if kept.size > MOST_SCORES:
        kept = np.quantile(kept, np.linspace(0, 1, MOST_SCORES)).astype(np.float32)
    return kept


def _fit_layer(
    train: NDArray[np.float32], labels: Labels, val: NDArray[np.float32], num_classes: int
) -> LayerStatistics:
    size = train.shape[1]
    columns = np.unique(np.linspace(0, size - 1, min(size, MOST_FEATURES)).astype(np.int64))
    offset = train[:, columns].mean(axis=0)
    spread = train[:, columns].std(axis=0)
    spread[spread < SMALLEST] = 1.0  # a silent feature tells nothing, and divides nothing
    scale = (1 / spread).astype(np.float32)
    values = (train[:, columns] - offset).astype(np.float64) * scale
    known = [values[labels == label] for label in range(num_classes)]
    centres = np.concatenate([_centres(images) for images in known if len(images)])
    unit = np.array([0, 1], np.float32)
    raw = LayerStatistics(columns, offset, scale, centres.astype(np.float32), unit)
    distances = raw.log_distances(val)
    measured = np.array([distances.mean(), distances.std() + SMALLEST], np.float32)
    return replace(raw, log_distance=measured)


def _centres(values: FloatArray) -> FloatArray:
    """Find the centres of k-means (Lloyd's rounds), from images that stand evenly in the order."""
    first = np.linspace(0, len(values) - 1, min(len(values), CENTRES_PER_CLASS)).astype(np.int64)
    centres = values[first]
    for _ in range(ROUNDS):
        nearest = _squared_distances(values, centres).argmin(axis=1)
        for index in np.unique(nearest):
            centres[index] = values[nearest == index].mean(axis=0)
    return centres


def _squared_distances(values: FloatArray, centres: FloatArray) -> FloatArray:
    """Return ``(num_values, num_centres)`` squared distances."""
    products = values @ centres.T
    squared: FloatArray = (values**2).sum(axis=1)[:, None] - 2 * products + (centres**2).sum(axis=1)
    return squared


def _told_by(layers: Sequence[_Item]) -> Sequence[_Item]:
    """Keep the layers that tell strange images; of few, the first."""
    return layers[: max(1, len(layers) - NUM_COLLAPSED)]


def _mean_scores(
    layers: Sequence[LayerStatistics], features: Sequence[NDArray[np.float32]]
) -> FloatArray:
    pairs = zip(layers, _told_by(features), strict=True)
    scores: FloatArray = np.mean([layer.scores(values) for layer, values in pairs], axis=0)
    return scores


def _check_layer(layer: LayerStatistics, size: int, most_centres: int) -> None:
    if layer.columns.ndim != 1 or not 0 < layer.columns.size <= MOST_FEATURES:
        raise ValueError("no columns, or too many")
    if layer.centres.ndim != 2 or not 0 < len(layer.centres) <= most_centres:
        raise ValueError("no centres, or too many")
    chosen = layer.columns.size
    wanted = {
        "columns": (np.int64, (chosen,)),
        "offset": (np.float32, (chosen,)),
        "scale": (np.float32, (chosen,)),
        "centres": (np.float32, (len(layer.centres), chosen)),
        "log_distance": (np.float32, (2,)),
    }
    for name, (dtype, shape) in wanted.items():
        tensor = getattr(layer, name)
        if tensor.dtype != dtype or tensor.shape != shape:
            raise ValueError(f"{name} is {tensor.dtype} {tensor.shape}, not {shape}")
    if layer.columns.min() < 0 or layer.columns.max() >= size:
        raise ValueError(f"columns that a layer of {size} features does not have")
    if not layer.log_distance[1] >= np.float32(SMALLEST):
        raise ValueError("a spread that is not above 0")
