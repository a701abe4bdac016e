"""Learning-rate schedules have the course that their names promise."""

from __future__ import annotations

import itertools

import pytest

from imgclf.errors import ArgumentError
from imgclf.training.schedules import make_schedule


def test_constant_is_the_number_itself() -> None:
    """The recipe's schedule is one number."""
    assert make_schedule("constant", 3e-4, 100) == 3e-4


def test_cosine_rises_and_falls_to_zero() -> None:
    """Cosine rises from 0 over a tenth of the steps, peaks at the rate and ends at 0."""
    rate = make_schedule("cosine", 1e-2, 200)
    rates = [float(rate(step)) for step in range(201)]
    assert rates[0] == 0
    assert max(rates) == pytest.approx(1e-2)
    assert rates.index(max(rates)) == 20
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert all(after <= before for before, after in itertools.pairwise(rates[20:]))


def test_one_step_is_enough() -> None:
    """A training of a single step has a rate above 0."""
    assert float(make_schedule("cosine", 1e-2, 1)(0)) > 0


def test_an_unknown_name_is_refused() -> None:
    """The error names what is accepted."""
    with pytest.raises(ArgumentError, match="'cosine'"):
        make_schedule("linear", 1e-2, 10)  # type: ignore[arg-type]
