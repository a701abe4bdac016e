"""A first answer is there within seconds, and only a better one takes its place."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import imgclf
from imgclf.classifiers.class_gaussian import ClassGaussian
from imgclf.errors import RunFolderError, TrainingError
from imgclf.reports import sections
from imgclf.runs.folder import is_stopped, is_trained
from imgclf.runs.record import read_run
from imgclf.runs.resolution import improvement_of
from imgclf.runs.settings import Settings
from imgclf.workflow import improvement
from imgclf.workflow.candidate_results import CandidateResult, read_results, write_results
from imgclf.workflow.learner import TrainingObserver
from imgclf.workflow.training import resume_training, run_training
from pretrained_network import save_tiny_weights, tiny, tiny_and_linear


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of the tiny backbone, saved locally."""
    return str(save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.weights.h5"))


@pytest.fixture
def by_clock(weights: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of the tiny network that may be fine-tuned for a few seconds, whatever it knows."""
    # To a network that trains a quarter of a second is one, so that the first answer has its time.
    hasty = SimpleNamespace(monotonic=lambda: 4 * time.monotonic())
    monkeypatch.setattr("imgclf.training.budget.time", hasty)
    monkeypatch.setattr(improvement, "SHORTEST_TRAINING_S", 1.0)
    monkeypatch.setattr(improvement, "_reason_to_stop", lambda *_: "")
    return Settings(
        architecture=tiny_and_linear,
        options={"weights": weights},
        image_size=(24, 24),
        batch_size=16,
        learning_rate=1e-2,
        budget=12,
    )


@pytest.fixture(scope="module")
def automatic(two_classes: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A training that was asked for nothing, and the sentences that it said."""
    said: list[Any] = []
    observer = TrainingObserver(
        answered=lambda accuracy, seconds: said.append((accuracy, seconds)), decided=said.append
    )
    run_dir = tmp_path_factory.mktemp("automatic") / "run"
    return run_training(two_classes, Settings(), run_dir=run_dir, observer=observer), said


def test_it_begins_with_a_pretrained_network_and_ends_where_nothing_can_be_gained(
    automatic: Any,
) -> None:
    """Easy images: one answer, from frozen features, told and done; the run is whole."""
    run, said = automatic
    assert run.classifier.model.name == "efficientnet_lite"
    assert run.evaluation.accuracy > 0.9
    assert said[0][0] == run.course.first_accuracy == run.course.accuracy
    assert said[1].startswith("Done: ")
    assert (run.course.chosen, run.course.results) == ("first", ())
    folder = run.bundle.parent
    assert is_trained(folder)
    assert (folder / "done").exists()
    assert not is_stopped(folder)


def test_the_run_says_what_was_asked_and_what_was_chosen(automatic: Any) -> None:
    """config.json has the wish, record.json the course with the settings of the network."""
    run, _ = automatic
    folder = run.bundle.parent
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["architecture"] == "auto"
    assert "epochs" not in config
    course = json.loads((folder / "record.json").read_text(encoding="utf-8"))["course"]
    assert course["settings"]["architecture"] == "efficientnet_lite"
    assert course["settings"]["image_size"] == [96, 96]
    assert course["reason"] == run.course.reason


def test_report_and_model_card_name_the_weights(automatic: Any) -> None:
    """A run by default settings says whose weights it began with, and their licence."""
    folder = automatic[0].bundle.parent
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    assert "- **Pretrained**: weights of efficientnet-lite0-57934424.pth" in card
    assert "Apache-2.0" in card
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "efficientnet-lite0-57934424.pth" in report
    assert "Apache-2.0" in report


def test_the_report_tells_the_course(automatic: Any) -> None:
    """The page has the sentences of the first answer, of each trial and of the end."""
    run, _ = automatic
    recorded = read_run(run.bundle.parent)
    first, end = sections.course(recorded)
    assert f"{run.course.first_accuracy:.1%}" in first
    assert end == run.course.reason
    assert end in (run.bundle.parent / "report.html").read_text(encoding="utf-8")
    trial = asdict(CandidateResult("fine_tuned", (96, 96), 12.0, 0.9))
    recorded.record["course"]["results"] = [trial]
    _, told, _ = sections.course(recorded)
    assert "12 s (fine-tuned, images of 96 x 96 pixels) reached 90.0" in told


def test_a_strange_image_is_told_by_a_pretrained_network(automatic: Any) -> None:
    """The Gaussian on its features keeps the images of the classes, and flags a chessboard."""
    run, _ = automatic
    assert isinstance(run.classifier.record.familiarity.told_by, ClassGaussian)
    chessboard = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((12, 12)))
    strange = np.repeat((255 * chessboard).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    assert run.classifier.predict(strange)[0].unfamiliar
    assert run.evaluation.num_unfamiliar < 0.5 * run.evaluation.metrics.num_images


def test_the_file_answers_as_the_training_said(automatic: Any, two_classes: Path) -> None:
    """The loaded file gives the probabilities of the run, although the head never saw the rest."""
    run, _ = automatic
    again = imgclf.evaluate(imgclf.load(run.bundle), two_classes)
    assert again.accuracy == run.evaluation.accuracy
    np.testing.assert_allclose(again.probabilities, run.evaluation.probabilities, atol=1e-5)


def test_a_better_candidate_takes_the_place_of_the_first_answer(
    by_clock: Settings, two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that knows nothing is replaced, and the file is that of the other network."""
    known: list[Any] = []

    def forget_first(learned: Any, split_sha256: str) -> Any:
        if not known:
            known.append(learned.model.get_weights())
            _forget(learned.model)
        return make_answer(learned, split_sha256)

    def learn_well(*arguments: Any) -> Any:
        learned = learn(*arguments)  # However few steps a loaded machine leaves time for.
        learned.model.set_weights(known[0])
        return learned

    make_answer, learn = improvement.make_answer, improvement.learn
    monkeypatch.setattr(improvement, "make_answer", forget_first)
    monkeypatch.setattr(improvement, "learn", learn_well)
    run = run_training(two_classes, by_clock, run_dir=tmp_path / "run")
    assert run.course is not None
    assert run.course.chosen == "fine_tuned"
    assert run.course.accuracy > run.course.first_accuracy
    assert run.fitted.epochs > run.fitted.head_epochs == 0
    loaded = imgclf.load(run.bundle, architecture=tiny_and_linear)
    assert loaded.predict(two_classes) == run.classifier.predict(two_classes)
    assert (tmp_path / "run" / "done").exists()


def test_a_worse_candidate_changes_nothing(
    by_clock: Settings, two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What learned nothing is dropped; the first answer stays, and the report says why."""
    monkeypatch.setattr(improvement, "make_answer", _later_know_nothing(improvement.make_answer))
    run = run_training(two_classes, by_clock, run_dir=tmp_path / "run")
    assert run.course is not None
    assert run.course.chosen == "first"
    assert "is no better" in run.course.reason
    assert run.evaluation.accuracy > 0.9


def test_a_candidate_that_cannot_be_trained_costs_nothing(
    by_clock: Settings, two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss that is no number, or too little memory, leaves the first answer."""

    def fail(*_: Any) -> Any:
        raise TrainingError("The loss became nan at step 3.")

    monkeypatch.setattr(improvement, "learn", fail)
    run = run_training(two_classes, by_clock, run_dir=tmp_path / "run")
    assert run.course is not None
    assert "cannot be trained here" in run.course.reason
    assert (tmp_path / "run" / "done").exists()


def few_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a first answer of 24 x 24 pixels learn from about 20 images."""
    monkeypatch.setattr(improvement, "FIRST_ANSWER_PIXELS", 20 * 24 * 24)


def test_of_very_many_images_a_part_answers_first(
    by_clock: Settings, two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then all are learned from: the end is what it would have been without the first part."""
    settings = replace(by_clock, budget=1)  # Too short for another network.
    monkeypatch.setattr(improvement, "_reason_to_stop", lambda *_: "Done: no time.")
    whole = run_training(two_classes, settings, run_dir=tmp_path / "whole")
    few_first(monkeypatch)
    said: list[str] = []
    files: list[Any] = []
    observer = TrainingObserver(
        answered=lambda *_: files.append(
            imgclf.load(tmp_path / "run" / "model.imgclf", architecture=tiny_and_linear)
        ),
        decided=said.append,
    )
    run = run_training(two_classes, settings, run_dir=tmp_path / "run", observer=observer)
    num_train = run.data.train.num_samples
    assert files[0].record.data.num_train in range(15, 22)
    assert f"going on with all {num_train}." in said[0]
    assert run.classifier.record.data.num_train == num_train
    assert run.classifier.predict(two_classes) == whole.classifier.predict(two_classes)


def test_a_stop_on_the_way_to_all_images_keeps_the_first_answer(
    by_clock: Settings, two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the features of all images; --resume learns from them."""
    few_first(monkeypatch)
    settings = replace(by_clock, architecture=tiny)  # Its head takes a while, if a short one.
    monkeypatch.setattr("imgclf.training.recipes.MOST_EPOCHS", 12)
    stop: list[str] = []
    observer = TrainingObserver(decided=stop.append, stop_requested=lambda: bool(stop))
    run = run_training(two_classes, settings, run_dir=tmp_path / "run", observer=observer)
    assert run.stopped
    assert run.course is not None
    assert "Stopped" in run.course.reason
    assert run.classifier.record.data.num_train < 22
    assert (tmp_path / "run" / "report.html").exists()
    monkeypatch.setattr(improvement, "_reason_to_stop", lambda *_: "Done: no time.")
    resumed = resume_training(tmp_path / "run", architecture=tiny)
    assert not resumed.stopped
    assert resumed.classifier.record.data.num_train > 50


def test_a_run_killed_after_its_first_answer_goes_on(
    by_clock: Settings, two_classes: Path, tmp_path: Path
) -> None:
    """The file is there from then on; the run counts as stopped, and --resume completes it."""

    class Killed(BaseException):
        """Stands for a signal that nothing catches."""

    def answered(_accuracy: float, _seconds: float) -> None:
        raise Killed

    folder = tmp_path / "run"
    with pytest.raises(Killed):
        run_training(
            two_classes, by_clock, run_dir=folder, observer=TrainingObserver(answered=answered)
        )
    assert is_stopped(folder)
    first = imgclf.load(folder / "model.imgclf", architecture=tiny_and_linear)
    assert first.figures is not None
    assert first.figures.split == "val"
    run = resume_training(folder, architecture=tiny_and_linear)
    assert run.course is not None
    assert (folder / "done").exists()
    assert not is_stopped(folder)


def test_a_stop_keeps_the_first_answer(
    by_clock: Settings, two_classes: Path, tmp_path: Path
) -> None:
    """Whoever stops it has a whole, measured classifier, and can go on."""
    stop: list[bool] = []
    observer = TrainingObserver(
        answered=lambda _accuracy, _seconds: stop.append(True), stop_requested=lambda: bool(stop)
    )
    run = run_training(two_classes, by_clock, run_dir=tmp_path / "run", observer=observer)
    assert run.stopped
    assert is_stopped(tmp_path / "run")
    assert (tmp_path / "run" / "report.html").exists()
    assert imgclf.load(run.bundle, architecture=tiny_and_linear).figures is not None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "any"),
        ({"budget": 60}, "any"),
        ({"recipe": "best"}, "any"),
        ({"epochs": 3}, None),
        ({"fine_tune_epochs": 2}, None),
        ({"deterministic": True}, None),
        ({"recipe": "classic"}, None),
        ({"two_phase": True}, None),
        ({"two_phase": False, "budget": 60}, None),
        ({"architecture": "resnet9", "budget": 60}, None),
        ({"architecture": "efficientnet_lite"}, None),
        ({"architecture": "efficientnet_lite", "budget": 60}, "fine_tuning"),
        ({"architecture": "efficientnet_lite", "budget": 60, "two_phase": True}, "fine_tuning"),
    ],
)
def test_the_clock_decides_only_where_it_may(given: dict[str, Any], expected: str | None) -> None:
    """Epochs, determinism and named networks without a budget are done as they are asked for."""
    assert improvement_of(Settings(**given)) == expected


def test_the_better_trial_decides_between_candidates() -> None:
    """What classified more validation images correctly in its short time gets the rest of it."""
    tuned = CandidateResult("fine_tuned", (64, 64), 40.0, 0.80)
    scratch = CandidateResult("from_scratch", (32, 32), 30.0, 0.75)
    assert improvement._best([scratch, tuned]) == tuned
    better = replace(scratch, accuracy=0.85)
    assert improvement._best([better, tuned]) == better


def test_more_images_are_not_waited_for_where_a_trained_network_will_be_far_better() -> None:
    """Their frozen features take time from a training that leaves them behind."""
    first = SimpleNamespace(val_accuracy=0.8)
    strong = CandidateResult("fine_tuned", (64, 64), 40.0, 0.75)
    weak = CandidateResult("from_scratch", (32, 32), 40.0, 0.7)
    tell: Callable[..., bool] = improvement._promises_more
    assert tell([strong, weak], 500.0, first)
    assert not tell([weak], 500.0, first)
    assert not tell([strong], 40.0, first)
    assert not tell([], 500.0, first)


def test_results_of_trials_are_kept(tmp_path: Path) -> None:
    """A resumed run reads what was found; a damaged file is one line with the remedy."""
    results = [CandidateResult("fine_tuned", (64, 96), 40.5, 0.8)]
    assert read_results(tmp_path) == []
    write_results(tmp_path, results)
    assert read_results(tmp_path) == results
    for content in ("[{}]", "{", '[{"name": "other", "image_size": [1, 1]}]'):
        (tmp_path / "results.json").write_text(content, encoding="utf-8")
        with pytest.raises(RunFolderError, match="move it elsewhere"):
            read_results(tmp_path)


def _later_know_nothing(make_answer: Callable[..., Any]) -> Callable[..., Any]:
    """Make all answers but the first with a head of zeros."""
    calls: list[None] = []

    def make(learned: Any, split_sha256: str) -> Any:
        calls.append(None)
        if len(calls) > 1:
            _forget(learned.model)
        return make_answer(learned, split_sha256)

    return make


def _forget(model: Any) -> None:
    head = model.get_layer("head")
    head.set_weights([np.zeros_like(weight) for weight in head.get_weights()])
