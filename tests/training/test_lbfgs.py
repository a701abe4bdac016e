from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize as scipy_minimize

from imgclf.training.lbfgs import minimize


def quadratic(seed: int, size: int = 12):
    """Return a convex quadratic function and where it is lowest."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size))
    hessian, lowest = root @ root.T + 0.1 * np.eye(size), rng.normal(size=size)

    def function(point: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = hessian @ (point - lowest)
        return 1 + 0.5 * float((point - lowest) @ gradient), gradient

    return function, lowest


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), curvature=st.sampled_from([1e-3, 1.0, 1e3]))
def test_minimum_of_a_quadratic_is_found(seed: int, curvature: float) -> None:
    """From any guess of the curvature, the lowest point of a quadratic function is reached."""
    function, lowest = quadratic(seed)
    found = minimize(
        function, np.zeros(12), curvature=curvature, tolerance=1e-14, max_iterations=500
    )
    assert found.is_converged
    np.testing.assert_allclose(found.point, lowest, atol=1e-3)


def test_minimum_is_that_of_scipy() -> None:
    """On a curved valley, minimum and value are those of SciPy's L-BFGS."""

    def function(point: np.ndarray) -> tuple[float, np.ndarray]:
        powers = np.exp(point * [1, 3] - 1)
        return float(powers.sum() + 0.5 * point @ point), powers * [1, 3] + point

    expected = scipy_minimize(function, [3.0, -2.0], jac=True, method="L-BFGS-B", tol=1e-12)
    found = minimize(function, np.array([3.0, -2.0]), tolerance=1e-14)
    np.testing.assert_allclose(found.point, expected.x, atol=1e-5)
    assert found.value == pytest.approx(expected.fun, abs=1e-9)


def test_no_step_raises_the_value() -> None:
    """Ended after any number of steps, the value is no higher than one step earlier."""
    function, _ = quadratic(0)
    values = [
        minimize(function, np.zeros(12), tolerance=0, max_iterations=steps).value
        for steps in range(20)
    ]
    assert values == sorted(values, reverse=True)


def test_stop_and_limit_end_it_where_it_is() -> None:
    """A stop, or the last allowed step, gives the point so far, and says that it is not the end."""
    function, _ = quadratic(1)
    stopped = minimize(function, np.zeros(12), stop_requested=lambda: True)
    limited = minimize(function, np.zeros(12), max_iterations=2)
    assert (stopped.iterations, stopped.is_converged) == (0, False)
    assert (limited.iterations, limited.is_converged) == (2, False)
    assert limited.value < stopped.value


def test_lowest_point_needs_no_step() -> None:
    """Where the start is the minimum, nothing moves and nothing is divided by zero."""
    function, lowest = quadratic(2)
    found = minimize(function, lowest)
    assert found.is_converged
    np.testing.assert_array_equal(found.point, lowest)
