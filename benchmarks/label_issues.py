"""How many suspected labels are wrong, and how many wrong ones are suspected.

Usage: python benchmarks/label_issues.py BUNDLE TEST_DIR

BUNDLE must never have seen the images of TEST_DIR, for example CIFAR-10's test part. A share of the
labels is replaced by a wrong one at random, twenty times with other random numbers: 0, 3.3 % (the
average of ten benchmarks) and 10 % (the worst of them). The calibration error on the true labels
should be at most 0.02.
"""

from __future__ import annotations

import sys

import numpy as np

import imgclf
from imgclf.reports.label_issues import find_label_issues

RATES = (0.0, 0.033, 0.1)
REPEATS = 20


def main() -> None:
    """Measure and print."""
    classifier = imgclf.load(sys.argv[1])
    result = imgclf.evaluate(classifier, sys.argv[2])
    figures = result.metrics
    print(f"accuracy {result.accuracy:.2%} on {figures.num_images} images")
    print(f"calibration error {figures.expected_calibration_error:.4f}, aim 0.02")
    for rate in RATES:
        listed, planted, both = np.sum(
            [count(result, rate, seed) for seed in range(REPEATS)], axis=0
        )
        print(
            f"{rate:.1%} wrong: {listed / REPEATS:.1f} suspected, {both / max(1, listed):.0%} of "
            f"them wrong; {both / max(1, planted):.0%} of the wrong ones suspected"
        )


def count(result: imgclf.Evaluation, rate: float, seed: int) -> tuple[int, int, int]:
    """Plant wrong labels; return how many are suspected, planted, and both."""
    rng = np.random.default_rng(seed)
    num_images, num_classes = result.probabilities.shape
    planted = rng.choice(num_images, round(rate * num_images), replace=False)
    labels = result.labels.copy()
    labels[planted] = (labels[planted] + rng.integers(1, num_classes, planted.size)) % num_classes
    images = np.arange(num_images)
    predicted = result.predicted
    issues = find_label_issues(
        labels,
        predicted,
        result.probabilities[images, predicted],
        result.probabilities[images, labels],
    )
    suspected = [issue.index for issue in issues]
    return len(suspected), planted.size, int(np.isin(planted, suspected).sum())


if __name__ == "__main__":
    main()
