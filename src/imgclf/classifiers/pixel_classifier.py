"""A network's answers to decoded images: calibrated probabilities, familiarity, features."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from imgclf.classifiers.abstention import find_threshold
from imgclf.classifiers.answers import Engine, FeatureWatch
from imgclf.classifiers.calibration import apply_temperature
from imgclf.classifiers.record import ClassifierRecord
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import ArgumentError

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from imgclf.classifiers.bundle import CalibrationRecord

__all__ = ["PixelClassifier"]


class PixelClassifier:
    """What classifies images that are already decoded and resized.

    Args:
        record: All that makes it this one.
        engine: What runs its network.
    """

    def __init__(self, record: ClassifierRecord, engine: Engine) -> None:
        self._record = record
        self._engine = engine

    @property
    def record(self) -> ClassifierRecord:
        """All that makes it this classifier."""
        return self._record

    @property
    def model(self) -> keras.Model:
        """The Keras model; of a loaded classifier it is built when you first ask."""
        return self.record.model

    @property
    def engine(self) -> str:
        """What computes its answers: ``"litert"`` or ``"keras"``."""
        return self._engine.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the outputs."""
        return tuple(self.record.class_names)

    @property
    def policy(self) -> InputPolicy:
        """How images are resized and which channels they have."""
        return self.record.policy

    @property
    def calibration(self) -> CalibrationRecord | None:
        """Temperature and thresholds; every prediction is calibrated with them."""
        return self.record.calibration

    def predict_pixels(self, batches: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Classify images that are already decoded and resized.

        Args:
            batches: Arrays ``(batch, height, width, channels)``, uint8, 0..255, of the policy's
                size; always channels last.

        Returns:
            float64 ``(num_images, num_classes)``, rows sum to 1.
        """
        return self._calibrated(self._engine(batches))

    def judge_pixels(
        self, batches: Iterable[NDArray[np.uint8]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Classify decoded images, and say of each how familiar it looks, in the same pass.

        Args:
            batches: As for `predict_pixels`.

        Returns:
            The probabilities, float64 ``(num_images, num_classes)``; and the familiarity, float64
            ``(num_images,)``, 0 to 1, as in `Prediction`, or None where the classifier does not
            know.
        """
        familiarity = self.record.familiarity
        if familiarity is None:
            return self.predict_pixels(batches), None
        measured: list[NDArray[np.float64]] = []
        probabilities = self._engine(
            batches, lambda features: measured.append(familiarity.measure(features))
        )
        return self._calibrated(probabilities), np.concatenate([np.zeros(0), *measured])

    def features(self, batches: Iterable[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Return what the network makes of decoded images before its head.

        Args:
            batches: As for `predict_pixels`.

        Returns:
            float32 ``(num_images, features)`` of each layer that `feature_tensors`
            finds: the last map of each size, averaged over its places, then what the head reads.
        """
        sizes = self.feature_sizes
        chunks = [[np.zeros((0, size), np.float32) for size in sizes]]
        self._engine(batches, chunks.append)
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]

    @property
    def feature_sizes(self) -> list[int]:
        """Number of features of each array that `features` returns."""
        return list(self._engine.feature_sizes)

    def uncalibrated(
        self, pixels: NDArray[np.uint8], watch: FeatureWatch | None = None
    ) -> NDArray[np.float64]:
        """Return the network's own probabilities for decoded images, as `predict_pixels` does."""
        return self._engine([pixels], watch)

    def _calibrated(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.calibration is None or not len(probabilities):
            return probabilities
        return apply_temperature(probabilities, self.calibration.temperature)

    def threshold(self, min_precision: float) -> float:
        """Return how sure an answer must be, for this share of such answers to be right.

        Args:
            min_precision: Wanted share, above 0 and at most 1.

        Returns:
            The lowest accepted probability; it was chosen on the validation images.

        Raises:
            ArgumentError: The classifier has no thresholds, or none that reaches the precision.
        """
        if self.calibration is None:
            raise ArgumentError(
                "This classifier has no thresholds, because it was not calibrated on validation "
                "images: train it with imgclf.train, or leave min_precision out."
            )
        table = [(entry.min_precision, entry.value) for entry in self.calibration.thresholds]
        return find_threshold(table, min_precision)
