"""The promises of all figures together."""

from __future__ import annotations

import json
import math
import time
import warnings
from typing import Any

import numpy as np
import pytest

from figures.made_predictions import every_number_of_classes, make_predictions
from imgclf.errors import ArgumentError
from imgclf.figures import confusion as counting
from imgclf.figures import metrics, ranking, reliability
from imgclf.figures.intervals import wilson_interval


def test_float32_and_its_float64_copy_give_one_figure() -> None:
    """The figures do not depend on the type in which the same numbers arrive."""
    labels, probabilities = make_predictions(4)
    single = probabilities.astype(np.float32)
    single[0], single[1] = [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]
    names = list("abcd")
    ours = metrics.measure(labels, single, names).as_dict()
    theirs = metrics.measure(labels, single.astype(np.float64), names).as_dict()
    assert ours.pop("expected_calibration_error") == pytest.approx(
        theirs.pop("expected_calibration_error"), abs=1e-6
    )
    assert ours == theirs


def test_absent_class_is_left_out_of_the_means(reference: Any) -> None:
    """A class that no image shows has no recall, and does not pull any mean down."""
    labels, probabilities = make_predictions(6)
    is_kept = labels != 3
    labels, probabilities = labels[is_kept], probabilities[is_kept]
    predicted = probabilities.argmax(axis=1)
    figures = metrics.measure(labels, probabilities, list("abcdef"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of the class without images
        balanced = reference.balanced_accuracy_score(labels, predicted)
    present = [0, 1, 2, 4, 5]
    auc = [reference.roc_auc_score(labels == c, probabilities[:, c]) for c in present]
    assert math.isnan(figures.classes[3].recall)
    assert figures.classes[3].support == 0
    assert figures.classes[3].f1 == 0.0
    assert figures.balanced_accuracy == pytest.approx(balanced, abs=1e-9)
    assert figures.roc_auc == pytest.approx(np.mean(auc), abs=1e-9)
    assert figures.macro_f1 == pytest.approx(
        reference.f1_score(labels, predicted, average="macro", zero_division=0), abs=1e-9
    )
    assert figures.as_dict()["classes"][3]["recall"] is None


@pytest.mark.parametrize("label", [0, 1])
def test_one_image_is_enough(label: int) -> None:
    """A single image gives every figure that it can, and None for the others."""
    figures = metrics.measure(np.array([label]), np.array([[0.7, 0.3]]), ["cat", "dog"]).as_dict()
    assert figures["accuracy"] == 1.0 - label
    assert figures["roc_auc"] is None
    assert figures["average_precision"] == (1.0 if label else None)
    assert figures["majority"] == {"class_index": label, "accuracy": 1.0}
    assert figures["expected_calibration_error"] == pytest.approx(0.7 if label else 0.3)


def test_no_images_give_nan_without_a_warning() -> None:
    """The single functions answer NaN when there is nothing to measure."""
    labels, probabilities = np.zeros(0, np.int64), np.zeros((0, 3))
    confusion = counting.confusion_matrix(labels, probabilities)
    from_counts = [counting.accuracy, counting.balanced_accuracy, counting.macro_f1]
    from_probabilities = [
        ranking.roc_auc,
        ranking.average_precision,
        reliability.log_loss,
        reliability.brier_score,
        reliability.expected_calibration_error,
    ]
    assert confusion.tolist() == [[0, 0, 0]] * 3
    assert all(math.isnan(figure(confusion)) for figure in from_counts)
    assert all(math.isnan(figure(labels, probabilities)) for figure in from_probabilities)
    assert math.isnan(ranking.top_k_accuracy(labels, probabilities, 2))


def test_measure_is_the_sum_of_its_parts() -> None:
    """`measure` gives what the single functions give."""
    labels, probabilities = make_predictions(12)
    figures = metrics.measure(labels, probabilities, list("abcdefghijkl"))
    confusion = counting.confusion_matrix(labels, probabilities)
    assert figures.num_images == labels.size
    assert figures.accuracy == counting.accuracy(confusion)
    assert figures.accuracy_interval == wilson_interval(figures.num_correct, labels.size)
    assert figures.top_3_accuracy == ranking.top_k_accuracy(labels, probabilities, 3)
    assert figures.brier_score == reliability.brier_score(labels, probabilities)
    assert [row.class_name for row in figures.classes] == list("abcdefghijkl")


@every_number_of_classes
def test_as_dict_survives_json(num_classes: int) -> None:
    """The dictionary goes through strict JSON and back unchanged."""
    labels, probabilities = make_predictions(num_classes)
    is_kept = labels != 1
    names = [f"class {index}" for index in range(num_classes)]
    figures = metrics.measure(labels[is_kept], probabilities[is_kept], names).as_dict()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert (figures["top_5_accuracy"] is None) == (num_classes < 10)


GOOD = np.array([[0.7, 0.3], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        (np.array([0, 1]), GOOD[:, 1], "two columns"),
        (np.array([0, 1]), GOOD[:, 1:], "two columns"),
        (np.array([0]), GOOD, "each of the 2 rows"),
        (np.array([0.0, 1.0]), GOOD, "dtype float64"),
        (np.zeros(0, np.int64), np.zeros((0, 2)), "at least one image"),
        (np.array([0, 2]), GOOD, "give 0 to 1"),
        (np.array([-1, 0]), GOOD, "labels go from -1"),
        (np.array([0, 1]), GOOD * 2, "Row 0"),
        (np.array([0, 1]), np.array([[0.7, 0.3], [np.nan, 1.0]]), "Row 1"),
        (np.array([0, 1]), np.array([[0.7, 0.3], [-0.5, 1.5]]), "Row 1"),
        (np.array([0, 1]), np.array([[np.inf, -np.inf], [0.5, 0.5]]), "Row 0"),
        (np.array([0, 1]), np.eye(2, 6) * 3.0, r"\[3, 0, 0, 0, \.\.\.\]"),
    ],
)
def test_refuses_what_are_notmake_predictions(
    labels: np.ndarray, probabilities: np.ndarray, message: str
) -> None:
    """Arrays that do not fit are an error that says what was given and what to give."""
    with pytest.raises(ArgumentError, match=message):
        metrics.measure(labels, probabilities, ["cat", "dog"])


def test_refuses_names_and_numbers_that_do_not_fit() -> None:
    """A missing class name, top 0 and no bins are errors that name the value."""
    labels = np.array([0, 1])
    with pytest.raises(ArgumentError, match="1 names and probabilities 2 columns"):
        metrics.measure(labels, GOOD, ["cat"])
    with pytest.raises(ArgumentError, match="k=0"):
        ranking.top_k_accuracy(labels, GOOD, 0)
    with pytest.raises(ArgumentError, match="num_bins=0"):
        reliability.reliability_bins(labels, GOOD, 0)


def test_inputs_are_left_as_they_were() -> None:
    """Measuring never changes the arrays that were handed in."""
    labels, probabilities = make_predictions(5)
    labels.setflags(write=False)
    probabilities.setflags(write=False)
    metrics.measure(labels, probabilities, list("abcde"))


def test_sixty_thousand_images_of_a_hundred_classes_are_quick() -> None:
    """Every figure of a large test set takes about a third of a second, here at most three."""
    labels, probabilities = make_predictions(100, num_images=60_000)
    start = time.process_time()  # A busy machine may take longer.
    metrics.measure(labels, probabilities, [str(index) for index in range(100)])
    assert time.process_time() - start < 3.0
