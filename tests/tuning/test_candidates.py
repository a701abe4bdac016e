"""Candidates: from searched values to what a trial needs, and back."""

from __future__ import annotations

from imgclf.data.batches.augmentation import Augmentation, resolve_augmentation
from imgclf.data.batches.generators import Plan
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.runs.resolution import resolve_settings
from imgclf.runs.settings import Settings
from imgclf.tuning.candidates import default_candidate, make_candidate, searched_values
from imgclf.tuning.space import make_space
from imgclf.tuning.trial_settings import TrialSettings

SETTINGS = TrialSettings(resolve_settings(Settings(epochs=7, learning_rate=0.002), 100))


def plan(augmentation: Augmentation | None = None) -> Plan:
    """Return the plan of images that nobody opens."""
    return Plan(
        "", None, None, InputPolicy((24, 32), 3), 16, augmentation or resolve_augmentation("light")
    )


def test_the_default_candidate_is_the_studys_own() -> None:
    """Options are the architecture's defaults, everything else the study's settings and images."""
    candidate = default_candidate("three_conv", plan(), SETTINGS)
    assert candidate.training == {
        "learning_rate": 0.002, "optimizer": "adam", "batch_size": 16, "augment": "light",
        "image_size": [24, 32], "head_penalty": None, "head_copies": SETTINGS.training.head_copies,
    }  # fmt: skip
    assert candidate.epochs == 7
    assert candidate.value("filters") == candidate.options["filters"]
    own = default_candidate("three_conv", plan(Augmentation(zoom_range=0.3)), SETTINGS)
    assert own.training["augment"] is None


def test_searched_values_become_a_candidate_and_come_back() -> None:
    """Only what is searched differs from the defaults; outside the space there are no values."""
    space = make_space(
        "three_conv,resnet9", tune=["filters"], space={"image_size": [16, 24], "augment": ["none"]}
    )
    values = {"architecture": "three_conv", "three_conv.filters": 16, "image_size": 16,
              "augment": "none"}  # fmt: skip
    candidate = make_candidate(space, values, plan(), SETTINGS, 3)
    default = default_candidate("three_conv", plan(), SETTINGS)
    assert candidate.options == {**default.options, "filters": 16}
    assert candidate.training == {**default.training, "image_size": [16, 16], "augment": "none"}
    assert candidate.epochs == 3
    assert searched_values(candidate, space) == values
    assert searched_values(default, space) is None
    assert candidate.key != default.key


def test_image_sizes_are_shown_as_the_command_line_takes_them() -> None:
    """A square is one number, another size height x width; other values stay as they are."""
    space = make_space("three_conv", tune=["image_size"])
    default = default_candidate("three_conv", plan(), SETTINGS)
    square = make_candidate(
        space, {"architecture": "three_conv", "image_size": 64}, plan(), SETTINGS, None
    )
    assert (default.shown("image_size"), square.shown("image_size")) == ("24x32", "64")
    assert default.shown("learning_rate") == 0.002
    assert default.shown("no_such_option") is None
