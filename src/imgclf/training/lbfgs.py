"""Minimising a smooth convex function by L-BFGS."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Minimum", "Vector", "minimize"]

Vector = NDArray[np.float64]

MEMORY = 10
"""Pairs of steps and changes of the gradient that are remembered."""

SUFFICIENT_DECREASE = 1e-4
"""Share of the decrease that the slope promises (Nocedal and Wright, section 3.1)."""

MOST_HALVINGS = 30
"""A step that is a billionth of the first one gains nothing that rounding would not hide."""


@dataclass(frozen=True, slots=True, eq=False)
class Minimum:
    """Where a minimisation ended.

    Attributes:
        point: The best point.
        value: The function there.
        iterations: Steps that were taken.
        is_converged: Whether nothing worth a step was left; False where it was stopped, or
            out of iterations.
    """

    point: Vector
    value: float
    iterations: int
    is_converged: bool


def minimize(
    function: Callable[[Vector], tuple[float, Vector]],
    start: Vector,
    *,
    curvature: float = 1.0,
    tolerance: float = 1e-8,
    max_iterations: int = 200,
    stop_requested: Callable[[], bool] = lambda: False,
) -> Minimum:
    """Minimise a smooth convex function by L-BFGS (Nocedal and Wright, algorithm 7.5).

    Args:
        function: Gives value and gradient, ``(size,)``, at a point.
        start: ``(size,)``; is not changed.
        curvature: A guess of the second derivative, above 0; decides the first step.
        tolerance: It ends where a function of this curvature could fall by no more than this
            share of the value.
        max_iterations: Most steps.
        stop_requested: Asked before each step.

    Returns:
        The best point: no step ever raises the value.
    """
    point, pairs = start, deque[tuple[Vector, Vector, float]](maxlen=MEMORY)
    value, gradient = function(point)
    for iteration in range(max_iterations):
        if float(gradient @ gradient) / (2 * curvature) <= tolerance * abs(value):
            return Minimum(point, value, iteration, is_converged=True)
        if stop_requested():
            return Minimum(point, value, iteration, is_converged=False)
        direction = -_times_inverse_hessian(gradient, pairs, curvature)
        found = _line_search(function, point, value, gradient, direction)
        if found is None:  # Rounding hides what is left.
            return Minimum(point, value, iteration, is_converged=True)
        new_point, value, new_gradient = found
        step, change = new_point - point, new_gradient - gradient
        product = float(step @ change)
        if product > 0:
            pairs.append((step, change, product))
        point, gradient = new_point, new_gradient
    return Minimum(point, value, max_iterations, is_converged=False)


def _times_inverse_hessian(
    gradient: Vector, pairs: deque[tuple[Vector, Vector, float]], curvature: float
) -> Vector:
    """Multiply by the inverse Hessian that the pairs tell of (algorithm 7.4, two loops)."""
    result, shares = gradient.copy(), []
    for step, change, product in reversed(pairs):
        share = float(step @ result) / product
        shares.append(share)
        result -= share * change
    if pairs:
        _, change, product = pairs[-1]
        curvature = float(change @ change) / product
    result /= curvature
    for (step, change, product), share in zip(pairs, reversed(shares), strict=True):
        result += (share - float(change @ result) / product) * step
    return result


def _line_search(
    function: Callable[[Vector], tuple[float, Vector]],
    point: Vector,
    value: float,
    gradient: Vector,
    direction: Vector,
) -> tuple[Vector, float, Vector] | None:
    """Halve the step until the value falls enough; None where it does not."""
    slope, length = float(gradient @ direction), 1.0
    for _ in range(MOST_HALVINGS):
        candidate = point + length * direction
        new_value, new_gradient = function(candidate)
        if new_value <= value + SUFFICIENT_DECREASE * length * slope:
            return candidate, new_value, new_gradient
        length /= 2
    return None
