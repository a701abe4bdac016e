"""Going on from a trained classifier with other images or other classes (step 8 of the recipe)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf.evaluation.evaluator import Evaluation, evaluate_pixels
from imgclf.zoo.builder import named_weights

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from imgclf.classifiers.classifier import Classifier
    from imgclf.data.batches.dataset import Batches

__all__ = ["copy_weights", "frozen_convolutions", "measure_before"]

Row = tuple["NDArray[np.float32]", float]
"""What one class adds up: a weight for each feature, and a bias."""


def copy_weights(
    source: keras.Model,
    source_classes: Sequence[str],
    target: keras.Model,
    target_classes: Sequence[str],
) -> None:
    """Give a fresh network the weights of a trained one; the head's rows are matched by class name.

    A class that both know keeps what was learned of it, a new one keeps its initial weights. The
    one sigmoid of two classes counts as the two softmax rows 0 and w, which give the same
    probabilities.

    Args:
        source: The trained network.
        source_classes: Names of its classes.
        target: A network of the same architecture, options and input.
        target_classes: Names of its classes.
    """
    learned, fresh = named_weights(source), named_weights(target)
    for name, variable in fresh.items():
        if not name.startswith("head/"):
            variable.assign(learned[name])
    rows = _rows(target, target_classes)
    rows.update({name: row for name, row in _rows(source, source_classes).items() if name in rows})
    _set_rows(target, [rows[name] for name in target_classes])


def _rows(model: keras.Model, class_names: Sequence[str]) -> dict[str, Row]:
    """Return the head as one row per class."""
    kernel, bias = (np.asarray(weight) for weight in model.get_layer("head").weights)
    if len(class_names) == 2:
        kernel = np.concatenate([np.zeros_like(kernel), kernel], axis=1)
        bias = np.concatenate([np.zeros_like(bias), bias])
    return {name: (kernel[:, i], float(bias[i])) for i, name in enumerate(class_names)}


def _set_rows(model: keras.Model, rows: Sequence[Row]) -> None:
    kernel = np.stack([weights for weights, _ in rows], axis=1)
    bias = np.array([offset for _, offset in rows], np.float32)
    if len(rows) == 2:  # One sigmoid: only the difference of the two counts.
        kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
    head_kernel, head_bias = model.get_layer("head").weights
    head_kernel.assign(kernel)
    head_bias.assign(bias)


@contextmanager
def frozen_convolutions(model: keras.Model, frozen: bool) -> Iterator[None]:
    """Keep the convolutional part of a network as it is for a while.

    Batch normalisation in it runs in inference mode then, as Keras does for frozen layers.

    Args:
        model: The network.
        frozen: False changes nothing.
    """
    layers = [layer for layer in model.layers if frozen and _is_convolutional(layer)]
    before: Mapping[Any, bool] = {layer: layer.trainable for layer in layers}
    for layer in layers:
        layer.trainable = False
    try:
        yield
    finally:
        for layer, trainable in before.items():
            layer.trainable = trainable


def _is_convolutional(layer: Any) -> bool:
    """Tell whether a layer has weights and gives a map of features, not a vector."""
    return bool(layer.weights) and len(layer.output.shape) == 4


def measure_before(start_from: Classifier, batches: Batches) -> Evaluation | None:
    """Measure an earlier classifier on the held-out images of a later one.

    Args:
        start_from: The earlier classifier; its input policy is that of the batches.
        batches: The later one's held-out images.

    Returns:
        Its figures on the images of classes that it knows; None where there are none.
    """
    names, labels = batches.class_names, batches.labels
    known = {name: index for index, name in enumerate(start_from.class_names)}
    kept = [place for place, label in enumerate(labels) if names[label] in known]
    if not kept:
        return None
    rows = batches.source.rows
    return evaluate_pixels(
        start_from,
        (batches.source.pixels.rows(rows[place : place + 1]) for place in kept),
        [known[names[labels[place]]] for place in kept],
        [batches.file_paths[place] for place in kept],
    )
