"""From a fitted network to a classifier whose answers are calibrated and measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imgclf.classifiers.answers import all_classes
from imgclf.classifiers.bundle import DataRecord
from imgclf.classifiers.calibration import apply_temperature, calibrate
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.fingerprints import TrainingFingerprints, fingerprint_images
from imgclf.data.batches.dataset import Batches
from imgclf.data.batches.image_data import ImageData
from imgclf.data.store.pixel_store import StoreMode
from imgclf.evaluation.evaluator import evaluate
from imgclf.evaluation.results import Evaluation
from imgclf.machine.precision import float32_results
from imgclf.training.frozen_features import compute_features, divide_network
from imgclf.training.two_phase import in_two_phases
from imgclf.workflow.familiar_images import learn_familiar_images
from imgclf.workflow.learner import Learned

__all__ = ["Answer", "HeldOut", "answer_images", "make_answer", "measure_held_out"]

ANSWERED_TOGETHER = 1024
"""Rows of features that go through a head at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A classifier that can be used, and what it says of the validation images.

    Attributes:
        classifier: Calibrated; it knows its training images.
        val_probabilities: float64 ``(num_images, num_classes)``, calibrated.
        learned: What it was made of.
    """

    classifier: Classifier
    val_probabilities: NDArray[np.float64]
    learned: Learned

    @property
    def num_wrong(self) -> int:
        """Validation images that are answered wrongly."""
        return int((self.val_probabilities.argmax(axis=1) != self.learned.data.val.labels).sum())

    @property
    def val_accuracy(self) -> float:
        """Share of the validation images that are answered rightly."""
        return 1 - self.num_wrong / len(self.val_probabilities)


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The figures of a classifier.

    Attributes:
        classifier: The classifier, with these figures.
        evaluation: On the test images, or the validation images where there are none.
        split: Which of the two.
        images_per_s: Held-out images that were answered per second.
    """

    classifier: Classifier
    evaluation: Evaluation
    split: Literal["test", "val"]
    images_per_s: float


def make_answer(learned: Learned, split_sha256: str) -> Answer:
    """Make a classifier of a fitted network: calibrated, and with a memory of its images.

    Args:
        learned: The fitted network and its images.
        split_sha256: By which the file names the division of the images.

    Returns:
        The classifier, and its answers to the validation images.
    """
    data, settings = learned.data, learned.settings
    model, mirrored = learned.model, settings.mirrored_prediction
    bare = Classifier(model, data.train, mirrored=mirrored).as_saved()
    val_probabilities = answer_images(bare, data.val, settings.store)
    calibration = calibrate(data.val.labels, val_probabilities)
    classifier = bare.with_changes(
        calibration=calibration,
        familiarity=learn_familiar_images(bare, learned),
        fingerprints=_fingerprints(data.train),
        data=_data_record(data, split_sha256, settings.seed),
    )
    return Answer(
        classifier, apply_temperature(val_probabilities, calibration.temperature), learned
    )


def answer_images(
    classifier: Classifier, batches: Batches, store: StoreMode
) -> NDArray[np.float64]:
    """Answer images; of a pretrained network the features are kept, and the head is quick.

    They come from the engine for features, within about 1e-5 of those of the network as a whole.

    Args:
        classifier: The classifier, not calibrated yet.
        batches: Images in its input policy.
        store: Where features are kept.

    Returns:
        float64 ``(num_images, num_classes)``.
    """
    if classifier.record.mirrored or not in_two_phases(classifier.model, None):
        return classifier.predict_pixels(batches.pixels())
    divided = divide_network(classifier.model)
    features = compute_features(divided.frozen, batches, mode=store)
    with float32_results():
        outputs = [
            divided.head(features[first : first + ANSWERED_TOGETHER], training=False).numpy()
            for first in range(0, len(features), ANSWERED_TOGETHER)
        ]
    return all_classes(np.concatenate(outputs))


def measure_held_out(classifier: Classifier, data: ImageData) -> HeldOut:
    """Measure a classifier on images that it did not learn from.

    Args:
        classifier: The classifier.
        data: The images, in its input policy.

    Returns:
        The classifier with its figures.
    """
    began_s = time.monotonic()
    evaluation = evaluate(classifier, data.test or data.val)
    images_per_s = len(evaluation.paths) / max(time.monotonic() - began_s, 1e-9)
    split: Literal["test", "val"] = "test" if data.test else "val"
    measured = classifier.with_changes(figures=evaluation.figures(split))
    return HeldOut(measured, evaluation, split, images_per_s)


def _fingerprints(train: Batches) -> TrainingFingerprints:
    sha256 = [sample.sha256 for sample in train.samples]
    return fingerprint_images(train.pixels(), train.labels, sha256, train.num_classes)


def _data_record(data: ImageData, split_sha256: str, seed: int) -> DataRecord:
    return DataRecord(
        num_train=data.train.num_samples,
        num_val=data.val.num_samples,
        num_test=data.test.num_samples if data.test else 0,
        split_sha256=split_sha256,
        seed=seed,
    )
