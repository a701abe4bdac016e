"""Two runs side by side, with a paired test on the images that both were measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgclf.errors import DataError
from imgclf.figures.intervals import Interval, wilson_interval
from imgclf.runs.record import RunRecord

__all__ = ["Comparison", "common_images", "compare_runs", "mcnemar_p_value"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the answers of two runs to the same images say.

    Attributes:
        num_images: Images that both were measured on, by content.
        accuracies: Of the first and the second run, on these images.
        intervals: 95 % Wilson intervals of the accuracies.
        only_first: Images that only the first run has right.
        only_second: Images that only the second run has right.
        p_value: How often chance alone would part two equally good classifiers at least so far;
            McNemar's exact test.
    """

    num_images: int
    accuracies: tuple[float, float]
    intervals: tuple[Interval, Interval]
    only_first: int
    only_second: int
    p_value: float


def compare_runs(first: RunRecord, second: RunRecord) -> Comparison:
    """Compare two runs on the held-out images that they have in common.

    Args:
        first: A finished run.
        second: Another, with the same classes.

    Returns:
        The comparison.

    Raises:
        DataError: The runs have other classes, or no held-out image in common.
    """
    places = common_images(first, second)
    return _compare(
        np.stack([first.is_correct[places[:, 0]], second.is_correct[places[:, 1]]], axis=1)
    )


def common_images(first: RunRecord, second: RunRecord) -> NDArray[np.int64]:
    """Find the held-out images that two runs have in common, by the content of their files.

    Args:
        first: A finished run.
        second: Another, with the same classes.

    Returns:
        ``(num_images, 2)``: the place of each image in the first and in the second run, in the
        order of the first.

    Raises:
        DataError: The runs have other classes, or no held-out image in common.
    """
    if set(first.class_names) != set(second.class_names):
        raise DataError(
            f"{first.folder} and {second.folder} have different classes: compare runs on the same "
            "data."
        )
    left, right = _places_by_content(first), _places_by_content(second)
    common = [(place, right[content]) for content, place in left.items() if content in right]
    if not common:
        raise DataError(
            f"{first.folder} and {second.folder} were measured on no image in common: "
            "train both on the same split, with the same seed or the same --test DIR."
        )
    return np.array(common, np.int64)


def _compare(is_right: NDArray[np.bool_]) -> Comparison:
    """Compare ``(num_images, 2)`` answers."""
    num_images = len(is_right)
    first, second = is_right.sum(axis=0).tolist()
    only_first = int((is_right[:, 0] & ~is_right[:, 1]).sum())
    only_second = int((is_right[:, 1] & ~is_right[:, 0]).sum())
    return Comparison(
        num_images=num_images,
        accuracies=(first / num_images, second / num_images),
        intervals=(wilson_interval(first, num_images), wilson_interval(second, num_images)),
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar_p_value(only_first, only_second),
    )


def _places_by_content(run: RunRecord) -> dict[str, int]:
    """Tell where each held-out image stands, by the hash of its file."""
    sha256 = {path: digest for path, digest, _, _ in run.splits}
    return {sha256[path]: place for place, path in enumerate(run.paths) if path in sha256}


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Return McNemar's exact two-sided p-value.

    Args:
        only_first: Images that only the first classifier has right, 0 or more.
        only_second: Images that only the second has right, 0 or more.

    Returns:
        0 to 1; 1 where the two never differ.

    References:
        Q. McNemar, "Note on the sampling error of the difference between correlated proportions",
        Psychometrika 12 (1947).
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    tail, term = 0, 1
    for wins in range(fewer + 1):
        tail += term
        term = term * (total - wins) // (wins + 1)
    return float(min(1.0, 2 * tail / 2**total))
