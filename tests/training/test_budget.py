"""A time budget is planned from measurements and kept by the clock."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest

import imgclf
from imgclf.errors import ArgumentError
from imgclf.training.budget import KeepBudget, plan_budget
from imgclf.training.speed import StepCost

SIZES = [(32, 32), (64, 64), (128, 128)]


def cost(size: tuple[int, int]) -> StepCost:
    """Let an image cost in proportion to its area: a millisecond at 32 x 32."""
    share = size[0] * size[1] / 1024
    return StepCost(train_s=1e-3 * share, predict_s=3e-4 * share)


def area(size: tuple[int, int]) -> float:
    """Let the work grow with the area."""
    return size[0] * size[1]


@pytest.mark.parametrize(
    ("left_s", "size"), [(20, (32, 32)), (60, (32, 32)), (250, (64, 64)), (2_000, (128, 128))]
)
def test_the_largest_images_that_can_be_seen_often_enough(
    left_s: float, size: tuple[int, int]
) -> None:
    """More time means larger images, but never fewer passes than wanted where they fit at all."""
    plan = plan_budget(left_s, 1_000, 300, 40, SIZES, area, cost)
    assert plan.image_size == size
    epoch_s = 1_000 * cost(size).train_s + 300 * cost(size).predict_s
    assert plan.epochs * epoch_s + plan.after_s == pytest.approx(left_s, rel=0.1)


def test_what_comes_after_the_last_step_is_set_aside() -> None:
    """Mirrored predictions, one more look at the held-out images, leave as much less for steps."""
    plain = plan_budget(61, 1_000, 5_000, 40, SIZES[:1], area, cost)
    mirrored = plan_budget(61, 1_000, 5_000, 40, SIZES[:1], area, cost, end_looks=4)
    assert mirrored.after_s - plain.after_s == pytest.approx(5_000 * 3e-4)
    assert mirrored.epochs < plain.epochs


def test_larger_images_that_cost_the_same_are_taken() -> None:
    """Where strides make 128 pixels as cheap as 32, these are taken, and only they are measured."""
    asked = []

    def measured(size: tuple[int, int]) -> StepCost:
        asked.append(size)
        return StepCost(1e-3, 3e-4)

    work = {(32, 32): 100, (48, 48): 225, (64, 64): 104, (96, 96): 230, (128, 128): 110}
    plan = plan_budget(20, 1_000, 300, 40, list(work), work.__getitem__, measured)
    assert plan.image_size == (128, 128)
    assert asked == [(128, 128)]


def test_a_size_that_turns_out_too_dear_is_passed_over() -> None:
    """What the count of operations promises is measured before it is believed."""

    def measured(size: tuple[int, int]) -> StepCost:
        return StepCost(*(value * (9 if size[0] == 128 else 1) for value in (1e-3, 3e-4)))

    plan = plan_budget(250, 1_000, 300, 40, SIZES, lambda size: size[0], measured)
    assert plan.image_size == (64, 64)


def test_too_little_time_still_gives_one_epoch() -> None:
    """The smallest size and one pass are the least that a plan can be."""
    plan = plan_budget(0.5, 100_000, 300, 40, SIZES, area, cost)
    assert (plan.image_size, plan.epochs) == ((32, 32), 1)


def test_no_size_is_no_plan() -> None:
    """An empty choice is an error, not a crash."""
    with pytest.raises(ArgumentError, match="at least one image size"):
        plan_budget(10, 100, 10, 4, [], area, cost)


def test_the_clock_ends_a_training(two_classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many epochs are asked for, the training ends when its time is over."""
    train, val = imgclf.make_generators(two_classes, image_size=(24, 24), batch_size=8)
    model = imgclf.build_model("three_conv", (24, 24, 3), filters=8, hidden_units=8)
    # A clock of its own: a step takes a second, however busy the machine is.
    now_s = [0.0]
    monkeypatch.setattr("imgclf.training.budget.time", SimpleNamespace(monotonic=lambda: now_s[0]))
    keeper = KeepBudget(1e-3, fit_s=3.5 * train.steps_per_epoch, planned_epochs=2)
    shown: list[int] = []

    class Ticking(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None) -> None:
            now_s[0] += 1

        def on_epoch_end(self, epoch, logs=None) -> None:
            shown.append(self.params["epochs"])

    result = imgclf.fit(model, train, val, epochs=10_000, callbacks=[Ticking(), keeper])
    assert now_s[0] == pytest.approx(3.5 * train.steps_per_epoch, abs=1)
    assert result.epochs == 4
    # A display shows the plan, and what came beyond it.
    assert shown == [2, 2, 3, 4]


@pytest.mark.parametrize(("speed", "done"), [(1.0, 0.0), (0.3, 0.0), (5.0, 0.0), (1.0, 0.5)])
def test_the_rate_follows_the_clock(
    speed: float, done: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On fast and slow machines the rate rises, comes down to zero, and the end is on time."""
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    keeper = KeepBudget(0.1, fit_s=100.0, done_share=done)
    model = imgclf.build_model("three_conv", (24, 24, 3), filters=8, hidden_units=8)
    model.compile("sgd", "binary_crossentropy")
    model.stop_training = False
    keeper.set_model(model)
    keeper.on_train_begin()
    rates: list[float] = []
    while not model.stop_training:
        keeper.on_train_batch_begin(0)
        rates.append(float(model.optimizer.learning_rate))
        clock[0] += 1 / speed
        keeper.on_train_batch_end(0)
    assert clock[0] - 1000 == pytest.approx(100, abs=1 / speed)
    highest = 0.1 if done == 0 else 0.06  # a resumed one goes on from where the rate was
    assert max(rates) == pytest.approx(highest, rel=0.15)
    assert rates[-1] < 0.002


def test_a_whole_training_keeps_its_budget(two_classes: Path, tmp_path: Path) -> None:
    """`train(budget=...)` chooses size and epochs, says so in the run folder, and is done."""
    import json

    began_s = time.monotonic()
    imgclf.train(
        two_classes, budget=6, architecture="three_conv",
        options={"filters": 8, "hidden_units": 8}, run_dir=tmp_path / "run",
    )  # fmt: skip
    took_s = time.monotonic() - began_s
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["size_is_open"] is False  # settled: a resumed run keeps its size
    assert config["image_size"][0] in range(32, 161)
    assert config["epochs"] >= 1
    assert took_s < 60  # 6 s on a quiet machine; the report of a small run is not in the plan
    assert (tmp_path / "run" / "model.imgclf").exists()


def test_a_budget_that_is_no_time_is_refused(two_classes: Path) -> None:
    """Zero seconds are refused before anything is measured."""
    with pytest.raises(ArgumentError, match="budget=-1"):
        imgclf.train(two_classes, budget=-1)


def test_averages_look_back_over_the_planned_steps(two_classes: Path) -> None:
    """Where the clock ends a training long before its epochs, averages span what was planned."""
    train, val = imgclf.make_generators(two_classes, image_size=(24, 24), batch_size=8)
    model = imgclf.build_model("three_conv", (24, 24, 3), filters=8, hidden_units=8)
    imgclf.fit(model, train, val, epochs=1, average_weights=40)
    assert model.optimizer.ema_momentum == pytest.approx(1 - 1 / 40)
