"""The promises of the figures that describe a set of predictions."""

from __future__ import annotations

import itertools
import json
import math
import time
import warnings
from typing import Any

import numpy as np
import pytest

from imgclf.errors import ArgumentError
from imgclf.evaluation import metrics
from imgclf.evaluation.intervals import wilson_interval

NUM_CLASSES = [2, 3, 5, 10, 37, 100]


@pytest.fixture(scope="module")
def reference() -> Any:
    """scikit-learn's metrics, which ours must equal."""
    return pytest.importorskip("sklearn.metrics")


def _predictions(
    num_classes: int, *, num_images: int = 1500, decimals: int | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Make labels and somewhat informed probabilities; rounding them makes ties."""
    random = np.random.default_rng([seed, num_classes])
    labels = np.append(np.arange(num_classes), random.integers(0, num_classes, num_images))
    logits = random.normal(size=(labels.size, num_classes)) * 2.0
    logits[np.arange(labels.size), labels] += 1.5
    if decimals is not None:
        # Equal logits give equal probabilities whose rows still sum to 1.
        logits = logits.round(decimals)
    probabilities = np.exp(logits)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


every_number_of_classes = pytest.mark.parametrize("num_classes", NUM_CLASSES)
with_and_without_ties = pytest.mark.parametrize("decimals", [None, 0])


@every_number_of_classes
@with_and_without_ties
def test_counts_equal_scikit_learn(reference: Any, num_classes: int, decimals: int | None) -> None:
    """Confusion, accuracies, precision, recall and F1 equal scikit-learn's."""
    labels, probabilities = _predictions(num_classes, decimals=decimals)
    predicted = probabilities.argmax(axis=1)
    confusion = metrics.confusion_matrix(labels, probabilities)
    expected = reference.precision_recall_fscore_support(
        labels, predicted, labels=range(num_classes), zero_division=0
    )
    rows = metrics.class_metrics(confusion, [str(index) for index in range(num_classes)])
    actual = np.array([(row.precision, row.recall, row.f1, row.support) for row in rows]).T
    np.testing.assert_array_equal(confusion, reference.confusion_matrix(labels, predicted))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9)
    assert metrics.accuracy(confusion) == pytest.approx(
        reference.accuracy_score(labels, predicted), abs=1e-9
    )
    assert metrics.balanced_accuracy(confusion) == pytest.approx(
        reference.balanced_accuracy_score(labels, predicted), abs=1e-9
    )
    assert metrics.macro_f1(confusion) == pytest.approx(
        reference.f1_score(labels, predicted, average="macro", zero_division=0), abs=1e-9
    )


@every_number_of_classes
@with_and_without_ties
def test_ranking_equals_scikit_learn(
    reference: Any, num_classes: int, decimals: int | None
) -> None:
    """AUC and average precision equal scikit-learn's, also when scores tie."""
    labels, probabilities = _predictions(num_classes, decimals=decimals)
    classes = [1] if num_classes == 2 else range(num_classes)
    auc = [reference.roc_auc_score(labels == c, probabilities[:, c]) for c in classes]
    precision = [
        reference.average_precision_score(labels == c, probabilities[:, c]) for c in classes
    ]
    assert metrics.roc_auc(labels, probabilities) == pytest.approx(np.mean(auc), abs=1e-9)
    assert metrics.average_precision(labels, probabilities) == pytest.approx(
        np.mean(precision), abs=1e-9
    )
    if num_classes > 2:
        one_vs_rest = reference.roc_auc_score(labels, probabilities, multi_class="ovr")
        assert metrics.roc_auc(labels, probabilities) == pytest.approx(one_vs_rest, abs=1e-9)


@every_number_of_classes
@with_and_without_ties
def test_curves_equal_scikit_learn(reference: Any, num_classes: int, decimals: int | None) -> None:
    """Both curves pass through the same points as scikit-learn's, of whichever class."""
    labels, probabilities = _predictions(num_classes, decimals=decimals)
    for positive in {0, 1, num_classes - 1}:
        is_positive, scores = labels == positive, probabilities[:, positive]
        roc = metrics.roc_curve(labels, probabilities, positive)
        ours = (roc.false_positive_rate, roc.true_positive_rate, roc.thresholds)
        theirs = reference.roc_curve(is_positive, scores, drop_intermediate=False)
        _assert_all_close(ours, theirs)
        curve = metrics.precision_recall_curve(labels, probabilities, positive)
        ours = (curve.precision, curve.recall, curve.thresholds)
        _assert_all_close(ours, reference.precision_recall_curve(is_positive, scores))


def _assert_all_close(ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> None:
    """Compare arrays one by one to 1e-9."""
    for our_array, their_array in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our_array, their_array, rtol=0, atol=1e-9)


@every_number_of_classes
@with_and_without_ties
def test_top_k_equals_scikit_learn(reference: Any, num_classes: int, decimals: int | None) -> None:
    """Top-k accuracy equals scikit-learn's on mirrored columns, as it ranks ties from the end."""
    labels, probabilities = _predictions(num_classes, decimals=decimals)
    mirrored = num_classes - 1 - labels, probabilities[:, ::-1]
    for k in {1, 2, 5, num_classes} - ({5} if num_classes < 5 else set()):
        ours = metrics.top_k_accuracy(labels, probabilities, k)
        if num_classes > 2 and k < num_classes:
            theirs = reference.top_k_accuracy_score(*mirrored, k=k, labels=range(num_classes))
            assert ours == pytest.approx(theirs, abs=1e-9)
    assert metrics.top_k_accuracy(labels, probabilities, num_classes) == 1.0
    assert metrics.top_k_accuracy(labels, probabilities, 1) == metrics.accuracy(
        metrics.confusion_matrix(labels, probabilities)
    )


@every_number_of_classes
@with_and_without_ties
def test_losses_equal_scikit_learn(reference: Any, num_classes: int, decimals: int | None) -> None:
    """Log loss and Brier score equal scikit-learn's."""
    labels, probabilities = _predictions(num_classes, decimals=decimals)
    assert metrics.log_loss(labels, probabilities) == pytest.approx(
        reference.log_loss(labels, probabilities), abs=1e-9
    )
    if num_classes == 2:
        expected = reference.brier_score_loss(labels, probabilities[:, 1])
    else:
        # scikit-learn before 1.7 has no Brier score of more than two classes.
        expected = np.mean(np.sum((np.eye(num_classes)[labels] - probabilities) ** 2, axis=1))
    assert metrics.brier_score(labels, probabilities) == pytest.approx(expected, abs=1e-9)


def test_log_loss_of_saturated_rows_is_clipped(reference: Any) -> None:
    """A certain and wrong answer costs 36.04 as in scikit-learn, never infinity."""
    labels, probabilities = np.array([0, 1, 1]), np.array([[0.0, 1.0], [0.0, 1.0], [0.5, 0.5]])
    loss = metrics.log_loss(labels, probabilities)
    assert loss == pytest.approx(reference.log_loss(labels, probabilities), abs=1e-9)
    assert metrics.log_loss(labels[:1], probabilities[:1]) == pytest.approx(36.0437, abs=1e-4)
    assert metrics.log_loss(labels[1:2], probabilities[1:2]) == pytest.approx(0.0, abs=1e-15)


def test_float32_and_its_float64_copy_give_one_figure() -> None:
    """The figures do not depend on the type in which the same numbers arrive."""
    labels, probabilities = _predictions(4)
    single = probabilities.astype(np.float32)
    single[0], single[1] = [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]
    names = list("abcd")
    ours = metrics.measure(labels, single, names).as_dict()
    theirs = metrics.measure(labels, single.astype(np.float64), names).as_dict()
    assert ours.pop("expected_calibration_error") == pytest.approx(
        theirs.pop("expected_calibration_error"), abs=1e-6
    )
    assert ours == theirs


@every_number_of_classes
def test_calibration_error_equals_its_definition(num_classes: int) -> None:
    """The calibration error is that of Guo et al., bin by bin, upper edges included."""
    labels, probabilities = _predictions(num_classes, decimals=1)
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    expected = 0.0
    edges = np.linspace(0.0, 1.0, 16)
    for low, high in itertools.pairwise(edges):
        is_inside = (confidence > low) & (confidence <= high)
        if is_inside.any():
            is_correct = predicted[is_inside] == labels[is_inside]
            gap = abs(is_correct.mean() - confidence[is_inside].mean())
            expected += is_inside.mean() * gap
    actual = metrics.expected_calibration_error(labels, probabilities)
    assert actual == pytest.approx(expected, abs=1e-12)


def test_reliability_bins_keep_every_image() -> None:
    """Every confidence, 1 and slightly above included, falls into exactly one bin."""
    probabilities = np.array([[1.0, 0.0], [1.0 + 1e-7, 0.0], [0.5, 0.5], [0.6, 0.4]])
    bins = metrics.reliability_bins(np.array([0, 1, 1, 0]), probabilities, num_bins=5)
    assert bins.num_images.tolist() == [0, 0, 2, 0, 2]
    assert bins.accuracy[[2, 4]].tolist() == [0.5, 0.5]
    assert np.isnan(bins.confidence[[0, 1, 3]]).all()
    assert bins.confidence[2] == pytest.approx(0.55)


def test_reliability_bins_contain_their_upper_edge() -> None:
    """A confidence on the border of two bins belongs to the lower one."""
    probabilities = np.array([[0.75, 0.25], [0.5, 0.5], [0.76, 0.24]])
    bins = metrics.reliability_bins(np.array([0, 0, 0]), probabilities, num_bins=4)
    assert bins.num_images.tolist() == [0, 1, 1, 1]


def test_calibrated_predictions_have_no_calibration_error() -> None:
    """Answers that are right as often as they claim have an error near 0, boastful ones do not."""
    random = np.random.default_rng(seed=7)
    confidence = random.uniform(0.5, 1.0, 200_000)
    probabilities = np.stack([confidence, 1.0 - confidence], axis=1)
    calibrated = (random.random(confidence.size) > confidence).astype(np.int64)
    assert metrics.expected_calibration_error(calibrated, probabilities) < 0.01
    coin_flips = random.integers(0, 2, confidence.size)
    assert metrics.expected_calibration_error(coin_flips, probabilities) == pytest.approx(
        0.25, abs=0.01
    )


def test_one_half_each_is_the_first_class() -> None:
    """Ties go to the first class."""
    probabilities = np.array([[0.5, 0.5], [0.4, 0.6]])
    assert metrics.predicted_classes(probabilities).tolist() == [0, 1]


def test_auc_of_constant_scores_is_chance() -> None:
    """A classifier that says the same of every image has an AUC of one half."""
    labels = np.array([0, 1, 1, 0, 1])
    assert metrics.roc_auc(labels, np.full((5, 2), 0.5)) == 0.5
    assert metrics.average_precision(labels, np.full((5, 2), 0.5)) == pytest.approx(0.6)


def test_auc_is_one_when_classes_are_apart_and_zero_when_swapped() -> None:
    """The AUC reaches its ends exactly."""
    labels, scores = np.array([0, 0, 1]), np.array([0.1, 0.2, 0.9])
    probabilities = np.stack([1.0 - scores, scores], axis=1)
    assert metrics.roc_auc(labels, probabilities) == 1.0
    assert metrics.roc_auc(labels, probabilities[:, ::-1]) == 0.0


def test_area_under_the_roc_curve_is_the_auc() -> None:
    """The curve and the figure under it belong together."""
    labels, probabilities = _predictions(2, decimals=0)
    curve = metrics.roc_curve(labels, probabilities)
    widths = np.diff(curve.false_positive_rate)
    heights = (curve.true_positive_rate[1:] + curve.true_positive_rate[:-1]) / 2
    assert metrics.roc_auc(labels, probabilities) == pytest.approx(np.sum(widths * heights))


def test_absent_class_is_left_out_of_the_means(reference: Any) -> None:
    """A class that no image shows has no recall, and does not pull any mean down."""
    labels, probabilities = _predictions(6)
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


def test_never_predicted_class_has_precision_zero() -> None:
    """A class that is never answered has precision 0.0; one that is not there at all, no F1."""
    labels = np.array([0, 1, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.9, 0.1, 0.0]])
    rows = metrics.class_metrics(metrics.confusion_matrix(labels, probabilities), list("abc"))
    assert [row.precision for row in rows] == [pytest.approx(1 / 3), 0.0, 0.0]
    assert (rows[1].recall, rows[1].f1, rows[1].support) == (0.0, 0.0, 2)
    assert math.isnan(rows[2].f1)


@pytest.mark.parametrize("label", [0, 1])
def test_one_image_is_enough(label: int) -> None:
    """A single image gives every figure that it can, and None for the others."""
    figures = metrics.measure(np.array([label]), np.array([[0.7, 0.3]]), ["cat", "dog"]).as_dict()
    assert figures["accuracy"] == 1.0 - label
    assert figures["roc_auc"] is None
    assert figures["average_precision"] == (1.0 if label else None)
    assert figures["majority"] == {"class_index": label, "accuracy": 1.0}
    assert figures["expected_calibration_error"] == pytest.approx(0.7 if label else 0.3)


def test_curves_of_one_class_are_nan_without_a_warning() -> None:
    """A rate that no image can tell is NaN."""
    labels, probabilities = np.array([0, 0]), np.array([[0.7, 0.3], [0.2, 0.8]])
    assert np.isnan(metrics.roc_curve(labels, probabilities).true_positive_rate).all()
    assert np.isnan(metrics.precision_recall_curve(labels, probabilities).recall).all()
    assert metrics.precision_recall_curve(labels, probabilities).precision.tolist() == [0, 0, 1]


def test_no_images_give_nan_without_a_warning() -> None:
    """The single functions answer NaN when there is nothing to measure."""
    labels, probabilities = np.zeros(0, np.int64), np.zeros((0, 3))
    confusion = metrics.confusion_matrix(labels, probabilities)
    from_counts = [metrics.accuracy, metrics.balanced_accuracy, metrics.macro_f1]
    from_probabilities = [
        metrics.roc_auc,
        metrics.average_precision,
        metrics.log_loss,
        metrics.brier_score,
        metrics.expected_calibration_error,
    ]
    assert confusion.tolist() == [[0, 0, 0]] * 3
    assert all(math.isnan(figure(confusion)) for figure in from_counts)
    assert all(math.isnan(figure(labels, probabilities)) for figure in from_probabilities)
    assert math.isnan(metrics.top_k_accuracy(labels, probabilities, 2))


def test_confusion_counts_small_integer_labels_right() -> None:
    """Labels stored as uint8 do not wrap around with many classes."""
    labels, probabilities = _predictions(100)
    np.testing.assert_array_equal(
        metrics.confusion_matrix(labels.astype(np.uint8), probabilities),
        metrics.confusion_matrix(labels, probabilities),
    )


def test_confusion_has_true_classes_in_rows() -> None:
    """A cat taken for a dog is counted in the cat's row and the dog's column."""
    confusion = metrics.confusion_matrix(np.array([0]), np.array([[0.2, 0.8]]))
    assert confusion.tolist() == [[0, 1], [0, 0]]


def test_most_confused_pairs_are_sorted_and_real() -> None:
    """Mistakes come most frequent first, equal ones by class, right answers never."""
    confusion = np.array([[90, 2, 0], [5, 80, 2], [0, 0, 70]])
    expected = [(1, 0, 5), (0, 1, 2), (1, 2, 2)]
    pairs = [metrics.ConfusedPair(*row) for row in expected]
    assert metrics.most_confused_pairs(confusion, k=10) == pairs
    assert metrics.most_confused_pairs(confusion, k=2) == pairs[:2]
    assert metrics.most_confused_pairs(confusion, k=0) == []
    assert metrics.most_confused_pairs(np.diag([3, 4])) == []
    assert confusion.trace() == 240


def test_majority_class_is_the_share_of_the_largest() -> None:
    """The baseline is the most frequent class, the first on ties."""
    assert metrics.majority_class(np.array([2, 2, 1, 0])) == metrics.MajorityClass(2, 0.5)
    assert metrics.majority_class(np.array([1, 0])) == metrics.MajorityClass(0, 0.5)


def test_measure_is_the_sum_of_its_parts() -> None:
    """`measure` gives what the single functions give."""
    labels, probabilities = _predictions(7)
    figures = metrics.measure(labels, probabilities, list("abcdefg"))
    confusion = metrics.confusion_matrix(labels, probabilities)
    assert figures.num_images == labels.size
    assert figures.accuracy == metrics.accuracy(confusion)
    assert figures.accuracy_interval == wilson_interval(figures.num_correct, labels.size)
    assert figures.top_5_accuracy == metrics.top_k_accuracy(labels, probabilities, 5)
    assert figures.brier_score == metrics.brier_score(labels, probabilities)
    assert [row.class_name for row in figures.classes] == list("abcdefg")


@every_number_of_classes
def test_as_dict_survives_json(num_classes: int) -> None:
    """The dictionary goes through strict JSON and back unchanged."""
    labels, probabilities = _predictions(num_classes)
    is_kept = labels != 1
    names = [f"class {index}" for index in range(num_classes)]
    figures = metrics.measure(labels[is_kept], probabilities[is_kept], names).as_dict()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert (figures["top_5_accuracy"] is None) == (num_classes <= 5)


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
def test_refuses_what_are_not_predictions(
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
        metrics.top_k_accuracy(labels, GOOD, 0)
    with pytest.raises(ArgumentError, match="num_bins=0"):
        metrics.reliability_bins(labels, GOOD, 0)


def test_inputs_are_left_as_they_were() -> None:
    """Measuring never changes the arrays that were handed in."""
    labels, probabilities = _predictions(5)
    labels.setflags(write=False)
    probabilities.setflags(write=False)
    metrics.measure(labels, probabilities, list("abcde"))


def test_sixty_thousand_images_of_a_hundred_classes_are_quick() -> None:
    """Every figure of a large test set takes about a third of a second, here at most three."""
    labels, probabilities = _predictions(100, num_images=60_000)
    start = time.perf_counter()
    metrics.measure(labels, probabilities, [str(index) for index in range(100)])
    assert time.perf_counter() - start < 3.0
