"""Image size, width and rates of what may be better than a first answer, for the time there is."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imgclf.data.batches.image_data import build_data
from imgclf.data.reading.layout import read_folders
from imgclf.runs.resolution import make_plan, resolve_for_folder
from imgclf.runs.settings import Settings
from imgclf.training.speed import StepCost
from imgclf.workflow import candidate_plans, improvement
from imgclf.workflow.candidate_plans import for_a_trial, plan_fine_tuning, plan_from_scratch
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


@pytest.fixture
def first(many_small: Situation, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a first answer from images of 96 pixels, and steps of known cost: 1 ms an image."""
    monkeypatch.setattr(candidate_plans, "_step_cost", lambda *_: StepCost(1e-3, 0.0))
    for name in ("CONVERSION_S", "RESERVE_S"):
        monkeypatch.setattr(candidate_plans, name, 0.0)
    settings = replace(
        resolve_for_folder(Settings(architecture="efficientnet_lite"), many_small.folders["train"]),
        image_size=(96, 96),
    )
    return SimpleNamespace(learned=SimpleNamespace(settings=settings))


def test_fine_tuning_takes_the_largest_images_that_leave_time_for_its_epochs(
    many_small: Situation, first: Any
) -> None:
    """Sides grow with the time, up to four times those of small images; epochs take the rest."""
    data = many_small.data
    epoch_s = 1e-3 * (data.train.num_samples + data.val.num_samples / 3)
    for time_s, side, epochs in (
        (0.1 * epoch_s, 64, 1), (1.9 * epoch_s, 64, 4), (2.1 * epoch_s, 96, 2),
        (20 * epoch_s, 96, 20),
    ):  # fmt: skip
        settings, plan = plan_fine_tuning(first, many_small, time_s)
        assert settings.height_and_width == plan.image_size == (side, side)
        assert settings.epochs == plan.epochs == epochs

    first.learned.settings = replace(first.learned.settings, image_size=(32, 32))
    settings, _ = plan_fine_tuning(first, many_small, 1_000 * epoch_s)
    assert settings.height_and_width == (96, 96)  # The files have 24 pixels a side.


@pytest.mark.parametrize("tested", [True, False])
@pytest.mark.parametrize("augment", ["light", "none"])
def test_fine_tuning_keeps_time_for_its_answers(
    many_small: Situation, first: Any, monkeypatch: pytest.MonkeyPatch, tested: bool, augment: str
) -> None:
    """Validation images and those that give the figure, mirrored too, and the familiar ones."""
    monkeypatch.setattr(candidate_plans, "_step_cost", lambda *_: StepCost(1e-3, 1e-2))
    data = many_small.data if tested else replace(many_small.data, test=None)
    given = Settings(augment=augment, image_size=(96, 96))
    _, plan = plan_fine_tuning(first, replace(many_small, data=data, settings=given), 100)
    measured = (data.test or data.val).num_samples
    answers = (2 if augment == "light" else 1) * (data.val.num_samples + measured)
    looks = answers + data.val.num_samples + data.train.num_samples
    assert plan.after_s == pytest.approx(1e-2 * looks)


def test_fine_tuning_sees_few_images_in_small_batches(
    many_small: Situation, first: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate goes with the batch; what was asked for is kept, and flips decide on mirroring."""
    settings, _ = plan_fine_tuning(first, many_small, 10)
    assert (settings.batch_size, settings.mirrored_prediction) == (32, True)
    assert settings.learning_rate == pytest.approx(3.2e-4)
    monkeypatch.setattr(candidate_plans, "usual_batch_size", lambda _num_images: 128)
    settings, _ = plan_fine_tuning(first, many_small, 10)
    assert settings.batch_size == 64
    assert settings.learning_rate == pytest.approx(6.4e-4)

    given = Settings(augment="none", batch_size=8, image_size=(40, 40), learning_rate=1e-3)
    settings, _ = plan_fine_tuning(first, replace(many_small, settings=given), 10)
    assert (settings.batch_size, settings.learning_rate) == (8, 1e-3)
    assert (settings.augment, settings.mirrored_prediction) == ("none", False)
    assert settings.two_phase is False
    settings, _ = plan_fine_tuning(
        first, replace(many_small, settings=Settings(batch_size=256)), 10
    )
    assert (settings.batch_size, settings.learning_rate) == (256, pytest.approx(6.4e-4))
