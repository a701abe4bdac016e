"""How many planted wrong labels are suspected first, and how well calibrated a classifier is.

Usage: python benchmarks/label_issues.py BUNDLE TEST_DIR

BUNDLE must never have seen the images of TEST_DIR, for example CIFAR-10's test part. Of its labels
200 are replaced by a wrong one at random, ten times with other random numbers; the aim is 100 of
them among the first 300 suspects. The calibration error on the true labels should be at most 0.02.
"""

from __future__ import annotations

import sys

import numpy as np

import imgclf
from imgclf.reports.label_issues import find_label_issues

NUM_PLANTED = 200
NUM_LOOKED_AT = 300


def main() -> None:
    """Measure and print."""
    classifier = imgclf.load(sys.argv[1])
    result = imgclf.evaluate(classifier, sys.argv[2])
    figures = result.metrics
    print(f"accuracy {result.accuracy:.2%} on {figures.num_images} images")
    print(f"calibration error {figures.expected_calibration_error:.4f}, aim 0.02")
    found = [count_found(result, seed) for seed in range(10)]
    print(f"of {NUM_PLANTED} planted labels among the first {NUM_LOOKED_AT} suspects: ", end="")
    print(f"{min(found)} to {max(found)}, mean {np.mean(found):.1f}; aim 100")


def count_found(result: imgclf.Evaluation, seed: int) -> int:
    """Plant wrong labels and count those that are suspected first."""
    rng = np.random.default_rng(seed)
    num_images, num_classes = result.probabilities.shape
    planted = rng.choice(num_images, NUM_PLANTED, replace=False)
    labels = result.labels.copy()
    labels[planted] = (labels[planted] + rng.integers(1, num_classes, NUM_PLANTED)) % num_classes
    images = np.arange(num_images)
    predicted = result.predicted
    issues = find_label_issues(
        labels,
        predicted,
        result.probabilities[images, predicted],
        result.probabilities[images, labels],
    )
    first = [issue.index for issue in issues[:NUM_LOOKED_AT]]
    return int(np.isin(planted, first).sum())


if __name__ == "__main__":
    main()
