"""Evaluating a classifier on images that it was not trained on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imgclf.classifiers.abstention import Selective
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.fingerprints import short_hashes, tiny_thumbnails
from imgclf.data.division.recorded_split import keep_held_out, read_split
from imgclf.data.division.samples import (
    Quarantined,
    Sample,
    collect_samples,
    left_out_lines,
)
from imgclf.data.reading.image_folder import ImageFolder
from imgclf.data.reading.layout import match_classes, read_folder
from imgclf.data.store.pixel_store import open_store
from imgclf.errors import ArgumentError, DataError, warn_of
from imgclf.evaluation.results import Evaluation
from imgclf.evaluation.verdict import TrainingFacts
from imgclf.figures.metrics import measure
from imgclf.zoo.builder import origin_of

if TYPE_CHECKING:
    from imgclf.data.batches.dataset import Batches

__all__ = ["Evaluation", "evaluate", "evaluate_pixels", "evaluate_silently"]

EVALUATE_AT_ONCE = 64
"""Number of images read from the store at a time."""


def evaluate(
    classifier: Classifier,
    images: str | os.PathLike[str] | Batches,
    *,
    split_file: str | os.PathLike[str] | None = None,
    all_images: bool = False,
    min_precision: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluate a classifier on a folder of images, in float32, with its own preprocessing.

    Args:
        classifier: The classifier.
        images: A folder with one sub-folder per class, matched to the classifier's classes by
            name; or a ZIP or CSV file; or batches of `imgclf.make_generators`, whose images are
            taken without augmentation.
        split_file: The ``split.csv`` of a run: only its test images are evaluated (its validation
            images where it has no test images). None takes the file beside the classifier's file,
            if the classifier was trained on this folder.
        all_images: Evaluate the training images of that folder too.
        min_precision: Also measure coverage and precision with abstention, as in
            `Classifier.predict`; above 0 and at most 1.
        progress: Called during the scan with the number of files done and the total.

    Returns:
        The figures. Unreadable images are left out and listed.

    Raises:
        DataNotFoundError: The folder does not exist.
        DataError: It has no usable images, or a class that the classifier does not know; or
            `split_file` holds out none of its images.
        ArgumentError: The batches have other classes or another size than the classifier, or
            `min_precision` cannot be reached.

    Warns:
        DataWarning: Some images were training images, which was not asked for; or files could not
            be used.

    Example:
        >>> result = imgclf.evaluate(clf, "data/test")       # doctest: +SKIP
        >>> result.accuracy, result.interval                 # doctest: +SKIP
    """
    result = evaluate_silently(
        classifier,
        images,
        split_file=split_file,
        all_images=all_images,
        min_precision=min_precision,
        progress=progress,
    )
    seen = [] if all_images else seen_warning(result.num_seen, len(result.paths))
    warn_of([*left_out_lines(result.quarantined), *seen])
    return result


def evaluate_silently(
    classifier: Classifier,
    images: str | os.PathLike[str] | Batches,
    *,
    split_file: str | os.PathLike[str] | None = None,
    all_images: bool = False,
    min_precision: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluate as `evaluate` does; what it warns of is in ``warnings`` alone.

    Args:
        classifier: As for `evaluate`, like the others.
        images: A folder, or batches.
        split_file: The ``split.csv`` of a run.
        all_images: Whether training images of that folder are evaluated.
        min_precision: For coverage and precision with abstention.
        progress: Called during the scan.

    Returns:
        The figures.

    Raises:
        DataError: As for `evaluate`.
        ArgumentError: As for `evaluate`.
    """
    if not isinstance(classifier, Classifier):
        raise ArgumentError(
            f"{type(classifier).__name__} is no classifier: give imgclf.load(path), or "
            "imgclf.Classifier(model, train)."
        )
    if min_precision is not None:
        classifier.threshold(min_precision)  # Refused before anything is read.
    if not isinstance(images, str | os.PathLike):
        return _evaluate_batches(classifier, images, split_file, min_precision)
    if split_file is not None and all_images:
        raise ArgumentError("split_file and all_images contradict each other: leave one out.")
    folder = read_folder(images, min_classes=1)
    otherwise = "or leave the split file out"
    if split_file is None and not all_images:
        split_file = _split_of_training(classifier, folder)
        otherwise = "to measure them anyway, give all_images=True (--all)"
    if folder.layout == "splits" and split_file is None:
        example = f"{folder.root / sorted(folder.splits)[0]}"
        if folder.kind in ("shards", "parquet"):
            example = f"the shards of one, as a folder or as a pattern such as '{example}*.tar'"
        raise DataError(
            f"{folder.root} holds {', '.join(sorted(folder.splits))}: give one of them, "
            f"for example {example}."
        )
    files, warning = match_classes(folder, classifier.class_names)
    store = open_store(folder, classifier.policy, progress=progress)
    found, quarantined = collect_samples(store, files)
    samples: Sequence[Sample] = found
    warnings = [warning] if warning else []
    if split_file is not None:
        samples, remark = keep_held_out(samples, split_file, otherwise=otherwise)
        warnings.append(remark)
    rows = np.array([sample.row for sample in samples], np.int64)
    pixels = (
        store.pixels.rows(rows[first : first + EVALUATE_AT_ONCE])
        for first in range(0, len(rows), EVALUATE_AT_ONCE)
    )
    return _measured(classifier, samples, pixels, quarantined, warnings, min_precision)


def _evaluate_batches(
    classifier: Classifier,
    batches: object,
    split_file: str | os.PathLike[str] | None,
    min_precision: float | None,
) -> Evaluation:
    from imgclf.data.batches.dataset import Batches  # heavy

    if not isinstance(batches, Batches):
        raise ArgumentError(
            f"images is {type(batches).__name__}, not a path: give the path of a folder, a ZIP or "
            "CSV file, or what imgclf.make_generators returned."
        )
    _require_same(classifier, batches)
    if split_file is not None:
        raise ArgumentError("split_file belongs to a folder; batches are split already.")
    return _measured(classifier, batches.samples, batches.pixels(), min_precision=min_precision)


def _split_of_training(classifier: Classifier, folder: ImageFolder) -> Path | None:
    """Return the ``split.csv`` beside a classifier's file, if it was trained on this folder."""
    file, data = classifier.record.file, classifier.data
    if file is None or data is None or not (path := file.parent / "split.csv").is_file():
        return None
    if hashlib.sha256(path.read_bytes()).hexdigest() != data.split_sha256:
        return None
    sides = read_split(path).by_path
    trained = any(sides.get(folder.absolute(one)) == "train" for one in folder.files)
    return path if trained else None


def evaluate_pixels(
    classifier: Classifier,
    batches: Iterable[NDArray[np.uint8]],
    labels: Sequence[int],
    paths: Sequence[str],
) -> Evaluation:
    """Evaluate a classifier on pixels that were decoded by its input policy.

    Args:
        classifier: The classifier.
        batches: Arrays ``(batch, height, width, channels)``, uint8, 0..255.
        labels: ``(num_images,)`` true indices into the classifier's classes.
        paths: ``(num_images,)`` paths of the images.

    Returns:
        The figures.
    """
    samples = [
        Sample(row, path, int(label), "", None)
        for row, (path, label) in enumerate(zip(paths, labels, strict=True))
    ]
    return _measured(classifier, samples, batches)


def _require_same(classifier: Classifier, batches: Batches) -> None:
    if batches.class_names != classifier.class_names or batches.policy != classifier.policy:
        raise ArgumentError(
            f"The batches have the classes {batches.class_names} and the size "
            f"{batches.policy.image_size}; the classifier has {classifier.class_names} and "
            f"{classifier.policy.image_size}: give a folder, whose classes are matched by name."
        )


def _measured(
    classifier: Classifier,
    samples: Sequence[Sample],
    pixels: Iterable[NDArray[np.uint8]],
    quarantined: Sequence[Quarantined] = (),
    warnings: Sequence[str] = (),
    min_precision: float | None = None,
) -> Evaluation:
    labels = np.array([sample.label for sample in samples], np.int64)
    guesses: list[NDArray[np.int64]] = []
    probabilities, familiarity = classifier.judge_pixels(_watched(classifier, pixels, guesses))
    num_seen = _count_seen(classifier, samples)
    return Evaluation(
        metrics=measure(labels, probabilities, classifier.class_names),
        class_names=classifier.class_names,
        paths=tuple(sample.path for sample in samples),
        labels=labels,
        probabilities=probabilities,
        quarantined=tuple(quarantined),
        warnings=(*warnings, *seen_warning(num_seen, len(samples))),
        nearest_mean_accuracy=_share_right(guesses, labels),
        num_seen=num_seen,
        selective=_selective(classifier, labels, probabilities, min_precision),
        familiarity=familiarity,
        training=_training_facts(classifier),
    )


def _training_facts(classifier: Classifier) -> TrainingFacts:
    """Return what the classifier knows of its training, without building its network."""
    network, data = classifier.record.network, classifier.data
    origin = origin_of(network.model) if network.is_built else None
    return TrainingFacts(
        num_train=None if data is None else data.num_train,
        is_pretrained=None if origin is None else bool(origin.weights_files),
    )


def _watched(
    classifier: Classifier,
    pixels: Iterable[NDArray[np.uint8]],
    guesses: list[NDArray[np.int64]],
) -> Iterator[NDArray[np.uint8]]:
    """Yield the batches, and append the nearest-class-mean prediction of each to `guesses`."""
    for batch in pixels:
        if classifier.record.fingerprints is not None:
            guesses.append(classifier.record.fingerprints.nearest_class(tiny_thumbnails(batch)))
        yield batch


def _count_seen(classifier: Classifier, samples: Sequence[Sample]) -> int:
    if classifier.record.fingerprints is None:
        return 0
    known = (sample.sha256 for sample in samples if sample.sha256)
    return classifier.record.fingerprints.count_seen(short_hashes(known))


def seen_warning(num_seen: int, num_images: int) -> list[str]:
    """Say that images were training images, where some were."""
    text = (
        f"{num_seen} of these {num_images} images were training images: the accuracy on new "
        "images may be lower. Give others, or the split.csv of the run, which leaves them out."
    )
    return [text] if num_seen else []


def _share_right(guesses: Sequence[NDArray[np.int64]], labels: NDArray[np.int64]) -> float | None:
    return float((np.concatenate(guesses) == labels).mean()) if guesses else None


def _selective(
    classifier: Classifier,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    min_precision: float | None,
) -> Selective | None:
    if min_precision is None:
        return None
    threshold = classifier.threshold(min_precision)
    return Selective.measure(labels, probabilities, min_precision, threshold)
