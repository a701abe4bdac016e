"""A network from random weights is as wide as its time allows."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imgclf.data.batches.image_data import build_data
from imgclf.data.reading.layout import read_folders
from imgclf.runs.resolution import make_plan, resolve_for_folder
from imgclf.runs.settings import Settings
from imgclf.workflow import candidate_plans, improvement
from imgclf.workflow.candidate_plans import for_a_trial, plan_from_scratch
from imgclf.workflow.learner import Task, TrainingObserver
from imgclf.workflow.situation import Situation


@pytest.fixture
def many_small(two_classes: Path, monkeypatch: pytest.MonkeyPatch) -> Situation:
    """Return a folder that counts as one of very many small images, and narrow networks."""
    monkeypatch.setattr(candidate_plans, "MANY_SMALL_IMAGES", 20)
    monkeypatch.setattr(candidate_plans, "AIRNET_WIDTHS", (8, 16, 128))
    monkeypatch.setattr(candidate_plans, "MEASURED_WIDTH", 16)
    folders = read_folders(two_classes, None, None)
    given = Settings()
    settings = replace(resolve_for_folder(given, folders["train"]), image_size=(24, 24))
    data = build_data(make_plan(two_classes, settings), folders=folders)
    return Situation(str(two_classes), folders, data, given, "any", None, "", time.monotonic())


def test_the_widest_network_is_taken_that_has_time_for_its_epochs(
    many_small: Situation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wider network where the time is enough for its epochs, the narrowest where it is not."""
    settings, plan = plan_from_scratch(many_small, 3_600)
    assert settings.architecture == "airnet"
    assert settings.options["filters"] == 128
    assert plan.epochs == settings.epochs >= candidate_plans.AIRNET_EPOCHS
    # Images of 24 pixels are not enlarged, and predictions are mirrored: the trainings are, too.
    assert settings.height_and_width == plan.image_size == (24, 24)
    assert (settings.optimizer, settings.mirrored_prediction) == ("muon", True)
    trial = for_a_trial(replace(settings, epochs=50), 0.1)
    assert (trial.options["filters"], trial.epochs) == (8, 5)
    assert for_a_trial(settings, 1e-9).epochs == 1

    monkeypatch.setattr(candidate_plans, "AIRNET_EPOCHS", 10**9)
    settings, plan = plan_from_scratch(many_small, 60)
    assert settings.options["filters"] == 8
    assert plan.epochs >= 1


def test_what_was_asked_for_is_kept(many_small: Situation) -> None:
    """A given optimizer, batch size, image size or augmentation is not replaced."""
    given = Settings(
        optimizer="adam", batch_size=16, image_size=(32, 32), augment="none", channels=1
    )
    settings, _ = plan_from_scratch(replace(many_small, settings=given), 20)
    assert (settings.optimizer, settings.batch_size) == ("adam", 16)
    assert settings.height_and_width == (32, 32)
    assert (settings.augment, settings.mirrored_prediction) == ("none", False)
    assert settings.channels == 1


def test_a_resumed_run_keeps_its_width(
    many_small: Situation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the time that is left would choose another width, the checkpoint's counts."""
    settings, budget = plan_from_scratch(many_small, 3_600)
    folder = tmp_path / "from_scratch"
    folder.mkdir()
    plan = make_plan(many_small.directory, settings)
    Task(plan, settings, folder, budget, began_s=time.monotonic()).record()
    monkeypatch.setattr(candidate_plans, "AIRNET_WIDTHS", (8,))
    first: Any = None  # Only a fine-tuning begins with it.
    observer = TrainingObserver()
    candidate = improvement._candidates(first, many_small, tmp_path, observer)["from_scratch"]()
    assert candidate.settings.options == {"filters": 128}
    assert candidate.plan.image_size == budget.image_size
