"""The promises of probabilities that are made to mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgclf.classifiers.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    apply_temperature,
    fit_temperature,
    softmax,
)
from imgclf.errors import ArgumentError
from imgclf.figures.reliability import expected_calibration_error, log_loss


def _calibrated_logits(
    num_classes: int, num_images: int = 4000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels from the very probabilities that the logits state."""
    random = np.random.default_rng([seed, num_classes])
    logits = random.normal(size=(num_images, num_classes)) * 2.0
    draws = random.random((num_images, 1))
    labels = (softmax(logits).cumsum(axis=1) < draws).sum(axis=1)
    return np.minimum(labels, num_classes - 1), logits


@pytest.mark.parametrize("num_classes", [2, 3, 10, 100])
@pytest.mark.parametrize("distortion", [0.2, 0.7, 1.0, 2.5, 8.0])
def test_finds_the_temperature_that_was_applied(num_classes: int, distortion: float) -> None:
    """Logits that were made too certain by a factor are brought back by that factor."""
    labels, logits = _calibrated_logits(num_classes)
    probabilities = softmax(logits * distortion)
    temperature = fit_temperature(labels, probabilities)
    assert temperature == pytest.approx(distortion, rel=0.1)
    calibrated = apply_temperature(probabilities, temperature)
    assert expected_calibration_error(labels, calibrated) < 0.035


@pytest.mark.parametrize("num_classes", [2, 3, 50])
@pytest.mark.parametrize("distortion", [0.1, 0.9, 3.0, 15.0])
def test_no_other_temperature_is_better(num_classes: int, distortion: float) -> None:
    """No temperature on a fine grid has a lower log loss than the one that was found."""
    labels, logits = _calibrated_logits(num_classes, num_images=300)
    probabilities = softmax(logits * distortion)
    temperature = fit_temperature(labels, probabilities)
    best = log_loss(labels, apply_temperature(probabilities, temperature))
    grid = np.geomspace(MIN_TEMPERATURE, MAX_TEMPERATURE, 200)
    assert MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE
    for other in [*grid, temperature * 0.999, temperature * 1.001]:
        assert best <= log_loss(labels, apply_temperature(probabilities, other)) + 1e-9


@given(
    seed=st.integers(0, 2**32 - 1),
    num_images=st.integers(1, 40),
    num_classes=st.integers(2, 6),
    scale=st.sampled_from([0.0, 1e-9, 0.1, 1.0, 10.0, 100.0, 1000.0]),
    skill=st.sampled_from([-3.0, 0.0, 1.0, 5.0]),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_never_makes_the_loss_worse(
    seed: int, num_images: int, num_classes: int, scale: float, skill: float
) -> None:
    """On the images it was fitted on, the loss is never above that of doing nothing."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, num_classes, num_images)
    logits = random.normal(size=(num_images, num_classes))
    logits[np.arange(num_images), labels] += skill
    probabilities = softmax(logits * scale)
    temperature = fit_temperature(labels, probabilities)
    calibrated = apply_temperature(probabilities, temperature)
    assert MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE
    assert log_loss(labels, calibrated) <= log_loss(labels, probabilities) + 1e-12


def test_image_beyond_the_cap_does_not_make_the_reported_loss_worse() -> None:
    """Where the log loss is capped, what lowers it only without the cap is not done."""
    hopeless = softmax(np.array([[0.0, 700.0]]))
    probabilities = np.concatenate([hopeless, np.tile([0.999, 0.001], (200, 1))])
    labels = np.zeros(201, np.int64)
    assert fit_temperature(labels, probabilities) == 1.0


def test_all_right_leaves_the_temperature_alone() -> None:
    """When every answer is right the images cannot tell how much certainty is too much."""
    probabilities = np.array([[0.6, 0.4], [0.3, 0.7]])
    assert fit_temperature(np.array([0, 1]), probabilities) == 1.0
    assert fit_temperature(np.array([1, 0]), np.full((2, 2), 0.5)) == 1.0


def test_worse_than_chance_reaches_the_highest_temperature() -> None:
    """Answers that are always wrong become as uncertain as is allowed."""
    probabilities = np.array([[0.6, 0.4], [0.3, 0.7]])
    assert fit_temperature(np.array([1, 0]), probabilities) == MAX_TEMPERATURE


def test_far_too_modest_reaches_the_lowest_temperature() -> None:
    """Answers that are nearly always right yet hardly certain become as certain as is allowed."""
    labels = np.append(np.zeros(999, np.int64), 1)
    probabilities = np.tile([0.501, 0.499], (1000, 1))
    assert fit_temperature(labels, probabilities) == MIN_TEMPERATURE


def test_saturated_rows_are_calibrated() -> None:
    """Rows of exact zeros and ones, as float32 gives them, become finite and less certain."""
    labels = np.append(np.zeros(90, np.int64), np.ones(10, np.int64))
    probabilities = np.tile([1.0, 0.0], (100, 1))
    temperature = fit_temperature(labels, probabilities)
    calibrated = apply_temperature(probabilities, temperature)
    np.testing.assert_allclose(calibrated[0], [0.9, 0.1], atol=1e-4)


@given(
    seed=st.integers(0, 2**32 - 1),
    num_classes=st.integers(2, 12),
    temperature=st.floats(1e-3, 1e6),
    kind=st.sampled_from(["plain", "ties", "near ties", "saturated", "float32"]),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_answer_changes(seed: int, num_classes: int, temperature: float, kind: str) -> None:
    """The most probable class of every row stays the same and every row sums to 1."""
    probabilities = _rows(np.random.default_rng(seed), num_classes, kind)
    calibrated = apply_temperature(probabilities, temperature)
    np.testing.assert_array_equal(calibrated.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(calibrated.sum(axis=1), 1.0, rtol=0, atol=1e-6)
    if kind != "float32":
        np.testing.assert_allclose(calibrated.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    assert calibrated.dtype == np.float64


def _rows(random: np.random.Generator, num_classes: int, kind: str) -> np.ndarray:
    """Make 64 rows of probabilities of a kind that is hard to keep in order."""
    logits = random.normal(size=(64, num_classes)) * 3.0
    if kind == "ties":
        return softmax(logits.round(0))
    if kind == "near ties":
        rows = np.full((64, num_classes), 1.0 / num_classes)
        steps = random.integers(0, 4, rows.shape)
        return rows + steps * np.spacing(rows)
    if kind == "saturated":
        return np.eye(num_classes)[random.integers(0, num_classes, 64)]
    if kind == "float32":
        return softmax(logits * 10.0).astype(np.float32)
    return softmax(logits)


def test_winner_by_a_hair_still_wins() -> None:
    """One floating-point step is enough to stay ahead, though scaling rounds it away."""
    half = 0.5
    probabilities = np.array([[np.nextafter(half, 0.0), half], [half, half]])
    calibrated = apply_temperature(probabilities, 20.0)
    assert calibrated[0, 1] > calibrated[0, 0]
    assert calibrated[1, 0] == calibrated[1, 1]


def test_order_of_all_classes_is_kept() -> None:
    """Not only the winner: no two classes swap places, so top-5 stays as it was."""
    _, logits = _calibrated_logits(20)
    probabilities = softmax(logits)
    probabilities[::2] = softmax(logits[::2] * 200.0)  # with zeros, and numbers close to them
    order = probabilities.argsort(axis=1)
    for temperature in (0.3, 3.0):
        calibrated = np.take_along_axis(apply_temperature(probabilities, temperature), order, 1)
        assert (np.diff(calibrated, axis=1) >= 0.0).all()


def test_temperature_of_probabilities_is_that_of_logits() -> None:
    """Working from probabilities gives what dividing the logits would have given."""
    _, logits = _calibrated_logits(10)
    logits[:10] *= 20.0  # probabilities down to 1e-100
    for temperature in (0.5, 1.0, 1.7, 20.0):
        np.testing.assert_allclose(
            apply_temperature(softmax(logits), temperature),
            softmax(logits / temperature),
            rtol=1e-9,
        )


def test_temperature_one_changes_nothing() -> None:
    """An uncalibrated classifier gives exactly the network's own numbers, as a copy."""
    probabilities = softmax(np.random.default_rng(0).normal(size=(50, 3)) * 50.0)
    unchanged = apply_temperature(probabilities, 1.0)
    np.testing.assert_array_equal(unchanged, probabilities)
    assert not np.shares_memory(unchanged, probabilities)


def test_inputs_are_left_as_they_were() -> None:
    """Neither fitting nor applying changes the arrays that were handed in."""
    labels, logits = _calibrated_logits(4)
    probabilities = softmax(logits)
    probabilities.setflags(write=False)
    apply_temperature(probabilities, fit_temperature(labels, probabilities))


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_refuses_what_is_no_temperature(temperature: float) -> None:
    """A temperature that is not above 0 is an error that names it."""
    with pytest.raises(ArgumentError, match="temperature="):
        apply_temperature(np.array([[0.5, 0.5]]), temperature)


def test_absurdly_low_temperature_is_certain_without_a_warning() -> None:
    """Even the smallest temperature gives probabilities: all on the winner."""
    calibrated = apply_temperature(np.array([[0.6, 0.4]]), 5e-324)
    assert calibrated.tolist() == [[1.0, 0.0]]


def test_refuses_logits() -> None:
    """Logits in place of probabilities are an error that names the way to convert them."""
    with pytest.raises(ArgumentError, match="softmax"):
        fit_temperature(np.array([0]), np.array([[3.0, -1.0]]))
