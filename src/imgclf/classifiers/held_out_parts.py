"""What a trained network's own images tell of it: calibration, familiarity, fingerprints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from imgclf.classifiers.calibration import calibrate
from imgclf.classifiers.familiarity import (
    Familiarity,
    fit_pretrained_familiarity,
    learn_familiarity,
)
from imgclf.classifiers.fingerprints import fingerprint_images
from imgclf.data.batches.dataset import Batches
from imgclf.errors import ArgumentError
from imgclf.training.frozen_features import divide_network
from imgclf.training.two_phase import in_two_phases

__all__ = ["Answering", "learn_parts"]

Pixels = Iterable[NDArray[np.uint8]]


class Answering(Protocol):
    """What is asked of a classifier here."""

    @property
    def model(self) -> keras.Model:
        """The network."""

    def predict_pixels(self, batches: Pixels) -> NDArray[np.float64]:
        """Return probabilities, ``(num_images, num_classes)``."""

    def features(self, batches: Pixels) -> list[NDArray[np.float32]]:
        """Return features, ``(num_images, features)`` of each layer."""


def learn_parts(classifier: Answering, train: Batches, val: Batches) -> dict[str, Any]:
    """Look at the images of a training once more, as `imgclf.train` does at its end.

    Args:
        classifier: The trained network, not calibrated.
        train: The images that it learned from; they come without augmentation.
        val: Images that it did not learn from, of the same classes and size.

    Returns:
        ``calibration``, ``familiarity`` and ``fingerprints``, as fields of `ClassifierRecord`.

    Raises:
        ArgumentError: `val` is no such batches.
    """
    _require_like(train, val)
    return {
        "calibration": calibrate(val.labels, classifier.predict_pixels(val.pixels())),
        "familiarity": _familiarity(classifier, train, val),
        "fingerprints": fingerprint_images(
            train.pixels(),
            train.labels,
            [sample.sha256 for sample in train.samples],
            train.num_classes,
        ),
    }


def _familiarity(classifier: Answering, train: Batches, val: Batches) -> Familiarity | None:
    model = classifier.model
    if in_two_phases(model, None) and divide_network(model).has_linear_head:
        known, held_out = (classifier.features(one.pixels())[-1] for one in (train, val))
        return fit_pretrained_familiarity(known, train.labels, held_out, train.num_classes)
    return learn_familiarity(classifier.features, train, val)


def _require_like(train: Batches, val: object) -> None:
    if not isinstance(val, Batches):
        raise ArgumentError(
            f"calibrate is {type(val).__name__}: give the validation batches that "
            "imgclf.make_generators returned."
        )
    if val.class_names != train.class_names or val.policy != train.policy:
        raise ArgumentError(
            f"calibrate has the classes {val.class_names} and the size {val.policy.image_size}; "
            f"the classifier has {train.class_names} and {train.policy.image_size}: give the "
            "validation batches of the same call of make_generators."
        )
