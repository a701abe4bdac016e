"""Two runs are compared on the same images, with an exact paired test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from imgclf.errors import DataError
from imgclf.reports.comparison import compare_runs, mcnemar_p_value
from imgclf.runs.record import read_run


@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (3, 9), (12, 12), (40, 71), (500, 400)])
def test_p_value_is_the_exact_binomial(counts: tuple[int, int]) -> None:
    """The p-value is that of a fair coin, two-sided, as SciPy computes it."""
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(counts[0], sum(counts)).pvalue if sum(counts) else 1.0
    assert mcnemar_p_value(*counts) == pytest.approx(expected, abs=1e-12)
    assert mcnemar_p_value(*counts) == mcnemar_p_value(*reversed(counts))


def test_runs_are_compared_on_common_images(trained: Any) -> None:
    """Images are matched by content; counts and accuracies are those of the common ones."""
    run = read_run(trained.bundle.parent)
    wrong = np.where(np.arange(run.labels.size) < 4, 1 - run.labels, run.labels)
    worse = replace(run, predicted=wrong, paths=(*run.paths[:-1], "elsewhere"))
    right = replace(run, predicted=run.labels)
    found = compare_runs(right, worse)
    num_images = run.labels.size - 1
    assert found.num_images == num_images
    assert (found.only_first, found.only_second) == (4, 0)
    assert found.accuracies == (1.0, (num_images - 4) / num_images)
    assert found.p_value == pytest.approx(0.125)


def test_runs_without_a_common_image_are_refused(trained: Any) -> None:
    """Runs that share no held-out image cannot be compared, and the message says what to do."""
    run = read_run(trained.bundle.parent)
    other = replace(run, paths=tuple(f"x{path}" for path in run.paths))
    with pytest.raises(DataError, match="no image in common"):
        compare_runs(run, other)
