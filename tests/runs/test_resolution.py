"""What settings leave open is chosen by the recipe, or by the classifier that is gone on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imgclf.data.reading.layout import read_folder
from imgclf.errors import ArgumentError
from imgclf.runs.resolution import (
    make_plan,
    make_settings,
    resolve_for_folder,
    resolve_settings,
)
from imgclf.runs.settings import Settings
from imgclf.training.recipes import choose_recipe


def resolved(folder: Path, architecture: str = "resnet9", **given: Any) -> Settings:
    """Return the settings of a training on a folder."""
    return resolve_for_folder(Settings(architecture=architecture, **given), read_folder(folder))


def test_what_is_given_goes_before_the_recipe(two_classes: Path) -> None:
    """Single settings replace the recipe's; another optimizer brings a rate of its own."""
    settings = resolved(two_classes, epochs=3, optimizer="sgd")
    assert (settings.epochs, settings.optimizer) == (3, "sgd")
    assert settings.learning_rate is None  # sgd's own usual rate
    assert resolved(two_classes, learning_rate=1e-3).optimizer == "adam"
    assert settings.label_smoothing == choose_recipe("fast", 70).label_smoothing
    assert resolved(two_classes, recipe="classic").optimizer == "adam"


def test_nothing_is_left_open(two_classes: Path) -> None:
    """Each recipe chooses every setting that is left to it, and changes none that is given."""
    for recipe in ("fast", "best", "classic"):
        settings = resolved(two_classes, recipe=recipe)
        assert not settings.left_to_recipe
        assert resolve_settings(settings, 5) == settings


def test_predictions_are_mirrored_only_where_training_images_are(two_classes: Path) -> None:
    """`best` takes the mean over mirror images, unless left and right are to be told apart."""
    assert resolved(two_classes, recipe="best").mirrored_prediction
    assert not resolved(two_classes, recipe="best", augment="none").mirrored_prediction


def test_a_budget_chooses_the_image_size_unless_it_is_given(two_classes: Path) -> None:
    """Only a size that nobody asked for is changed."""
    assert resolved(two_classes, budget="5m").size_is_open
    assert not resolved(two_classes, budget="5m", image_size=64).size_is_open
    assert not resolved(two_classes).size_is_open


def test_a_network_that_is_left_open_is_the_pretrained_one(two_classes: Path) -> None:
    """Its image size follows the photos; the beginner's recipe has the beginner's network."""
    settings = resolved(two_classes, "auto", epochs=3)
    assert (settings.architecture, settings.size_is_open) == ("efficientnet_lite", True)
    assert settings.fine_tune_epochs == 3
    assert settings.label_smoothing == 0
    assert resolved(two_classes, "auto", recipe="classic").architecture == "three_conv"
    assert not resolved(two_classes, "auto", image_size=64).size_is_open
    with pytest.raises(ArgumentError, match="--arch resnet9"):
        resolved(two_classes, "auto", options={"filters": 16})


def test_the_validation_part_of_a_large_folder_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """15 % of a folder choose the epoch, until they are as many as choosing needs."""
    monkeypatch.setattr("imgclf.runs.resolution.MOST_VAL_IMAGES", 30)
    for number in range(120):
        for name in ("cat", "dog"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{number}.png").touch()
        if number == 99:
            few = resolved(tmp_path)
    assert make_plan(tmp_path, few).val_split == 0.15
    assert make_plan(tmp_path, resolved(tmp_path)).val_split == 30 / 240
    assert make_plan(tmp_path, resolved(tmp_path, val_split=0.3)).val_split == 0.3


def test_going_on_keeps_the_network(trained: Any) -> None:
    """Architecture, options and input are the classifier's; asking for others is refused."""
    settings = make_settings({"epochs": 3, "image_size": 24}, trained.classifier)
    assert settings.architecture == "three_conv"
    assert settings.options["filters"] == 8
    with pytest.raises(ArgumentError, match="image_size=48 cannot be changed"):
        make_settings({"image_size": 48}, trained.classifier)
