"""A pretrained network tells strange images by the shape in which the images of a class lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgclf.classifiers.class_gaussian import MOST_DIRECTIONS, ClassGaussian, fit_class_gaussian
from imgclf.classifiers.familiarity import Familiarity, fit_pretrained_familiarity


def draw(count: int, size: int = 100, seed: int = 0) -> tuple[Any, Any]:
    """Draw images of three classes, whose features differ much in a few directions."""
    rng = np.random.default_rng(seed)
    shapes = np.random.default_rng(9)
    means = 5 + shapes.normal(size=(3, size))
    directions = shapes.normal(size=(6, size)) / np.sqrt(size)
    labels = rng.integers(0, 3, count)
    rows = means[labels] + 4 * rng.normal(size=(count, 6)) @ directions
    return (rows + 0.2 * rng.normal(size=(count, size))).astype(np.float32), labels


def test_with_all_directions_it_is_the_distance_of_mahalanobis() -> None:
    """Where every direction is kept but one, the definition with the inverse covariance holds."""
    features, labels = draw(4000, size=12)
    found = fit_class_gaussian(features, labels, 3)
    assert found.directions.shape == (11, 12)
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    means = np.stack([rows[labels == label].mean(axis=0) for label in range(3)])
    gaps = rows - means[labels]
    inverse = np.linalg.inv(gaps.T.astype(float) @ gaps / len(gaps))
    others, _ = draw(50, size=12, seed=1)
    unit = others / np.linalg.norm(others, axis=1, keepdims=True)
    from_each = (unit[:, None] - means).astype(float)
    expected = np.einsum("icf,fg,icg->ic", from_each, inverse, from_each).min(axis=1)
    np.testing.assert_allclose(np.exp(found.log_distances(others)), expected, rtol=1e-3)


def test_the_length_of_the_features_says_nothing() -> None:
    """Twice the features are the same image, brighter; no features at all are a finite answer."""
    features, labels = draw(500)
    found = fit_class_gaussian(features, labels, 3)
    np.testing.assert_allclose(
        found.log_distances(features * 2), found.log_distances(features), rtol=1e-5
    )
    assert np.isfinite(found.log_distances(np.zeros((2, 100), np.float32))).all()


def test_strange_images_are_flagged_and_the_figure_is_a_share() -> None:
    """As many new images of the classes as were promised are kept; others lie outside."""
    features, labels = draw(2000)
    val, _ = draw(1000, seed=1)
    familiarity = fit_pretrained_familiarity(features, labels, val, 3)
    assert familiarity is not None
    usual = familiarity.measure([draw(5000, seed=2)[0]])
    for share in (0.05, 0.5, 0.9):
        assert (usual < share).mean() == pytest.approx(share, abs=0.04)
    strange = np.random.default_rng(3).normal(5, 1.4, (200, 100)).astype(np.float32)
    assert (familiarity.measure([strange]) < 0.05).mean() > 0.95


@given(count=st.integers(1, 12), size=st.integers(1, 9), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_few_images_give_finite_distances(count: int, size: int, seed: int) -> None:
    """One image a class, missing classes and equal images divide nothing by nothing."""
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 2, (count, size)).astype(np.float32)
    labels = rng.integers(0, 4, count)
    found = fit_class_gaussian(features, labels, 4)
    assert len(found.means) == len(np.unique(labels))
    assert np.isfinite(found.log_distances(rng.normal(size=(5, size)).astype(np.float32))).all()
    again = ClassGaussian.from_tensors(found.to_tensors(), size, 4)
    np.testing.assert_array_equal(again.log_distances(features), found.log_distances(features))


def test_it_survives_its_tensors_and_refuses_others() -> None:
    """Read back, it measures the same to the last bit; damaged tensors are refused."""
    features, labels = draw(400)
    found = fit_pretrained_familiarity(features, labels, features[:60], 3)
    assert found is not None
    tensors, sizes = found.to_tensors(), [16, 32, 100]
    again = Familiarity.from_tensors(tensors, sizes, 3)
    assert (again.measure([features]) == found.measure([features])).all()
    assert tensors["head/directions"].shape == (MOST_DIRECTIONS, 100)
    kept = {name: tensor for name, tensor in tensors.items() if name != "head/means"}
    wrong = [
        kept,
        {**tensors, "0/columns": np.arange(3)},
        {**tensors, "validation_scores": np.zeros(0, np.float32)},
        {**tensors, "validation_scores": tensors["validation_scores"][::-1]},
        {**tensors, "head/means": np.zeros((4, 100), np.float32)},
        {**tensors, "head/means": np.zeros((3, 99), np.float32)},
        {**tensors, "head/means": np.zeros(100, np.float32)},
        {**tensors, "head/means": tensors["head/means"].astype(np.float64)},
        {**tensors, "head/directions": np.zeros((), np.float32)},
        {**tensors, "head/directions": np.zeros((65, 100), np.float32)},
        {**tensors, "head/directions": np.zeros((64, 9), np.float32)},
        {**tensors, "head/variances": np.ones(64, np.float32)},
        {**tensors, "head/variances": np.zeros(65, np.float32)},
        {**tensors, "head/variances": np.full(65, np.nan, np.float32)},
    ]
    for changed in wrong:
        with pytest.raises(ValueError, match=r"\w"):
            Familiarity.from_tensors(changed, sizes, 3)
    assert fit_pretrained_familiarity(features * np.nan, labels, features, 3) is None
