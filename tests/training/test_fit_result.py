"""What a training returns is a value that cannot be changed by assignment."""

from __future__ import annotations

import dataclasses

import pytest

from imgclf.training.fit_result import FitResult


def test_the_number_of_epochs_follows_from_the_figures() -> None:
    """Each figure has one value an epoch; without figures there was no epoch."""
    assert FitResult({"loss": [3.0, 2.0], "accuracy": [0.5, 0.6]}).epochs == 2
    assert FitResult({}).epochs == 0


def test_nothing_is_assigned_afterwards() -> None:
    """A field is given once, when the result is made."""
    result = FitResult({"loss": [3.0]}, best_epoch=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.best_epoch = 1  # type: ignore[misc]
