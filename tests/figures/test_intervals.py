"""The promises of the intervals around an accuracy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from imgclf.errors import ArgumentError
from imgclf.figures.intervals import Interval, mcnemar, wilson_interval


def test_agrees_with_published_values() -> None:
    """The interval equals published worked examples of the Wilson score interval."""
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (1, 29): (0.0061, 0.1718),
    }
    for (num_correct, num_images), (low, high) in published.items():
        interval = wilson_interval(num_correct, num_images)
        assert interval.low == pytest.approx(low, abs=5e-5)
        assert interval.high == pytest.approx(high, abs=5e-5)


def test_says_nothing_without_images() -> None:
    """Without images every accuracy is possible."""
    assert wilson_interval(0, 0) == Interval(0.0, 1.0)


@pytest.mark.parametrize("num_images", [1, 2, 3, 7, 10, 300, 10**9])
def test_ends_are_exact(num_images: int) -> None:
    """None correct starts at exactly 0, all correct ends at exactly 1, and neither is a point."""
    none, every = wilson_interval(0, num_images), wilson_interval(num_images, num_images)
    assert none.low == 0.0 < none.high < 1.0
    assert every.high == 1.0 > every.low > 0.0
    # The known closed form of the open end.
    squared_quantile = 1.959963984540054**2
    assert none.high == pytest.approx(squared_quantile / (num_images + squared_quantile))


@pytest.mark.parametrize("num_images", [1, 5, 300])
def test_contains_the_accuracy_and_mirrors(num_images: int) -> None:
    """The interval stays in 0 to 1 around the accuracy, and counting errors mirrors it."""
    for num_correct in range(num_images + 1):
        interval = wilson_interval(num_correct, num_images)
        mirrored = wilson_interval(num_images - num_correct, num_images)
        assert 0.0 <= interval.low <= num_correct / num_images <= interval.high <= 1.0
        assert interval.low == pytest.approx(1.0 - mirrored.high, abs=1e-14)


def test_more_confidence_is_wider_and_more_images_are_narrower() -> None:
    """Asking for more confidence widens the interval, more images narrow it."""
    usual = wilson_interval(90, 100)
    surer = wilson_interval(90, 100, confidence=0.99)
    larger = wilson_interval(900, 1000)
    assert surer.low < usual.low < larger.low
    assert larger.high < usual.high < surer.high


@pytest.mark.parametrize("num_images", [300, 1000, 10_000])
@pytest.mark.parametrize("accuracy", [0.5, 0.7, 0.8, 0.9, 0.95, 0.98])
def test_covers_the_true_accuracy_as_often_as_promised(num_images: int, accuracy: float) -> None:
    """In simulated test sets the 95 % interval contains the true accuracy 93 to 97 % of times."""
    random = np.random.default_rng(seed=1927)
    draws = random.binomial(num_images, accuracy, size=20_000)
    outcomes, times = np.unique(draws, return_counts=True)
    intervals = [wilson_interval(int(outcome), num_images) for outcome in outcomes]
    is_covered = np.array([interval.low <= accuracy <= interval.high for interval in intervals])
    assert 0.93 <= times[is_covered].sum() / times.sum() <= 0.97


@pytest.mark.parametrize(("num_correct", "num_images"), [(-1, 10), (11, 10), (0, -1)])
def test_refuses_impossible_counts(num_correct: int, num_images: int) -> None:
    """Counts that no set of images can have are an error that names them."""
    with pytest.raises(ArgumentError, match=f"num_correct={num_correct}"):
        wilson_interval(num_correct, num_images)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, -0.5, math.nan])
def test_refuses_a_confidence_that_is_no_proportion(confidence: float) -> None:
    """A confidence given in per cent is an error that shows how to write it."""
    with pytest.raises(ArgumentError, match=r"such as 0\.95"):
        wilson_interval(5, 10, confidence)


def _answers(both: int, only_a: int, only_b: int, none: int) -> tuple[np.ndarray, np.ndarray]:
    """Build two classifiers' right answers with these counts."""
    counts = [both, only_a, only_b, none]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False] * 2, counts)


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (1, 0), (5, 5), (3, 4), (9, 1), (0, 6), (12, 30), (400, 480)]
)
def test_mcnemar_is_the_exact_binomial_test(only_a: int, only_b: int) -> None:
    """The p-value equals the two-sided binomial test, in whole-number arithmetic."""
    result = mcnemar(*_answers(20, only_a, only_b, 3))
    total, fewer = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(total, heads) for heads in range(fewer + 1))
    assert (result.only_a_correct, result.only_b_correct) == (only_a, only_b)
    assert result.p_value == pytest.approx(min(1.0, 2 * tail / 2**total), rel=1e-9)


def test_mcnemar_does_not_depend_on_the_order() -> None:
    """Swapping the classifiers swaps the counts and keeps the p-value."""
    correct_a, correct_b = _answers(5, 14, 4, 2)
    forward, backward = mcnemar(correct_a, correct_b), mcnemar(correct_b, correct_a)
    assert forward.p_value == backward.p_value
    assert forward.only_a_correct == backward.only_b_correct == 14


def test_mcnemar_handles_many_images() -> None:
    """60,000 disagreements neither overflow nor lose the p-value."""
    even = mcnemar(*_answers(0, 30_000, 30_000, 0))
    uneven = mcnemar(*_answers(0, 59_000, 1_000, 0))
    assert even.p_value == 1.0
    assert uneven.p_value == 0.0


def test_mcnemar_rarely_cries_wolf() -> None:
    """Of equally good classifiers at most 5 % are called different at p < 0.05."""
    random = np.random.default_rng(seed=1947)
    answers = random.random((2000, 2, 200)) < 0.8
    p_values = np.array([mcnemar(*pair).p_value for pair in answers])
    assert np.mean(p_values < 0.05) <= 0.05


def test_mcnemar_refuses_what_is_not_paired() -> None:
    """Predicted classes instead of right-or-wrong, or other images, are an error."""
    right = np.array([True, False])
    with pytest.raises(ArgumentError, match="same images"):
        mcnemar(right, np.array([True]))
    with pytest.raises(ArgumentError, match="correct_b has dtype int64"):
        mcnemar(right, np.array([1, 0]))
