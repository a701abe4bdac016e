"""Dimensions of a search space."""

from __future__ import annotations

from imgclf.tuning.dimensions import TRAINING_OPTIONS
from imgclf.tuning.space import make_space


def test_grids_of_ranges_hold_both_ends() -> None:
    """A grid goes through a range at equal distances, or equal ratios."""
    space = make_space("three_conv", tune=["learning_rate", "dropout", "hidden_units"])
    grids = {item.name: item.grid(3) for item in space.dimensions}
    assert grids == {
        "learning_rate": (1e-4, 1e-3, 1e-2),
        "dropout": (0.0, 0.45, 0.9),
        "hidden_units": (8, 1028, 2048),
    }


def test_training_names_are_those_that_fit_and_the_presets_know() -> None:
    """What the light module lists is what the heavy ones accept."""
    from imgclf.data.batches.augmentation import PRESETS
    from imgclf.training.optimizers import OPTIMIZERS

    options = {option.name: option.range for option in TRAINING_OPTIONS}
    assert set(options["optimizer"].values) <= set(OPTIMIZERS)  # type: ignore[union-attr]
    assert set(options["augment"].values) <= set(PRESETS)  # type: ignore[union-attr]
