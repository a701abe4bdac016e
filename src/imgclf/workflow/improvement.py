"""A first answer within seconds, then a better one as long as that pays.

The first answer is a linear head on the features of a pretrained network. What may be better, the
same network fine-tuned or a small one from random weights, is tried for a short time; what promises
most gets the rest of the time. The validation images decide; test images are not looked at.
"""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgclf.atomic import make_folder, write_atomically
from imgclf.data.batches.image_data import ImageData, build_data
from imgclf.data.reading.image_folder import Folders
from imgclf.errors import DataError, OutOfMemoryError, TrainingError
from imgclf.evaluation.results import figures_of
from imgclf.figures.metrics import measure
from imgclf.runs.config import plain_settings
from imgclf.runs.folder import BUNDLE_NAME, SPLIT_NAME, mark_stopped, split_csv, split_rows
from imgclf.runs.resolution import Improvement, make_plan, resolve_settings
from imgclf.runs.settings import BY_RECIPE, Settings
from imgclf.training.budget import RESERVE_S, BudgetPlan
from imgclf.training.speed import StepCost, measure_step_cost
from imgclf.training.two_phase import frozen_averages
from imgclf.workflow.candidate_results import (
    CandidateName,
    CandidateResult,
    read_results,
    write_results,
)
from imgclf.workflow.learner import Learned, Task, TrainingObserver, learn
from imgclf.workflow.measurement import Answer, make_answer
from imgclf.workflow.time_budget import budget_of, typical_side
from imgclf.zoo.builder import build_unloaded, origin_of

if TYPE_CHECKING:
    from imgclf.classifiers.classifier import Classifier
    from imgclf.training.stop_request import StopOnRequest

__all__ = ["Course", "Situation", "improve"]

_logger = logging.getLogger(__name__)

USUAL_TIME_S = {"fast": 300.0, "best": 1800.0}
"""Seconds of a training without a budget."""

TRIAL_SHARE = 0.08
"""Share of the time that each candidate is tried for."""

SHORTEST_TRIAL_S = 10.0
"""Below it a trial tells nothing but how long its network takes to compile."""

SHORTEST_TRAINING_S = 30.0
"""Below it a fine-tuning is hardly begun when it has to end."""

MOST_TRIAL_VAL = 1_000
"""Validation images of a trial: they tell 90 % to one point."""

LEAST_GAIN = 0.5
"""Share of the wrong answers that a better network is hoped to put right."""

ERROR_EXPONENT: dict[CandidateName, float] = {"fine_tuned": 0.2, "from_scratch": 0.4}
"""How errors fall with the time of a whole schedule: as its power; see `docs/performance.md`."""

FINE_TUNING_RATE = 3e-4
"""Highest learning rate of AdamW; at 2e-3 a pretrained network forgets what it knew."""

FINE_TUNING_BATCH = 32

MEASURED_SIDE = 96
"""Side, in pixels, at which a step is measured; larger and smaller ones cost by their area."""

VAL_COST = 1 / 3
"""What a validation image costs, as a share of a training image."""

FINE_TUNING_EPOCHS = 3
"""Epochs that the image size of fine-tuning leaves time for."""

FINE_TUNING_SIDES = (64, 96, 128, 160, 192, 224)
"""Sides, in pixels, that fine-tuning chooses from; below, the last map of a pretrained network has
fewer than two pixels a side."""

MANY_SMALL_IMAGES = 20_000
"""Training images from which a narrow network learns more from small images than a wide one."""

SMALL_SIDE = 48


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """Where a training stands once its first answer is there.

    Attributes:
        directory: The folder of the images.
        folders: What was read of it.
        settings: The settings as they were given.
        kind: What may be tried.
        folder: The run folder, if any.
        split_sha256: By which a file names the division of the images.
        began_s: When the training began, on the monotonic clock.
    """

    directory: str
    folders: Folders
    settings: Settings
    kind: Improvement
    folder: Path | None
    split_sha256: str
    began_s: float

    @property
    def time_s(self) -> float:
        """Seconds of the whole training."""
        return self.settings.budget_s or USUAL_TIME_S[self.settings.recipe]

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self.time_s - (time.monotonic() - self.began_s)


@dataclass(frozen=True, slots=True)
class Course:
    """How a training went on from its first answer; what the report tells.

    Attributes:
        first_accuracy: Of the first answer, on the validation images.
        first_s: Seconds until it could be used.
        results: What was tried.
        chosen: What the classifier is: ``"first"`` or a candidate.
        accuracy: Of the classifier, on the validation images.
        reason: Why it ended so, as a sentence.
        settings: The settings of the chosen one, as plain values.
    """

    first_accuracy: float
    first_s: float
    results: tuple[CandidateResult, ...]
    chosen: str
    accuracy: float
    reason: str
    settings: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for ``record.json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """What may be better than the first answer.

    Attributes:
        name: What it is called in results and folders.
        settings: Every choice.
        plan: Its budget plan, for the rest of the time.
        data: The images in its size.
        start_from: The classifier whose weights it begins with; None begins with random ones.
    """

    name: CandidateName
    settings: Settings
    plan: BudgetPlan
    data: ImageData
    start_from: Classifier | None

    def __str__(self) -> str:
        """Say what it is, as the beginning of a sentence."""
        height, width = self.plan.image_size
        size = f"images of {height} x {width} pixels"
        if self.name == "fine_tuned":
            return f"Fine-tuning ({size})"
        return f"{self.settings.architecture} from random weights ({size})"


def improve(
    first: Learned, situation: Situation, observer: TrainingObserver, stopping: StopOnRequest
) -> tuple[Answer, Course]:
    """Make the first answer usable, then look for a better one.

    Args:
        first: The head on frozen features.
        situation: Where the training stands.
        observer: Is told of the first answer and of what is tried.
        stopping: Ends it in good order, with the best so far.

    Returns:
        The best answer, and the way to it.
    """
    fitted_s = time.monotonic()
    answer = make_answer(first, situation.split_sha256)
    if situation.folder is not None:
        _save_first_answer(situation.folder, answer)
    now_s = time.monotonic()
    # The last answer will be made and measured likewise, and then described.
    first_s, after_s = now_s - situation.began_s, 2 * (now_s - fitted_s) + RESERVE_S
    observer.answered(answer.val_accuracy, first_s)
    best, chosen = answer, "first"
    results: tuple[CandidateResult, ...] = ()
    reason = _reason_to_stop(answer, situation)
    if not reason and stopping.ask():
        reason = "Stopped before another network was tried."
    if not reason:
        better = _look_for_better(answer, situation, after_s, observer, stopping)
        results, reason = better.results, better.reason
        if better.answer is not None:
            best, chosen = better.answer, better.name
    observer.decided(reason)
    settings = plain_settings(best.learned.settings)
    return best, Course(
        answer.val_accuracy, first_s, results, chosen, best.val_accuracy, reason, settings
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """What came of looking for a better network; `answer` is None where none was found."""

    reason: str
    results: tuple[CandidateResult, ...] = ()
    name: str = ""
    answer: Answer | None = None


def _look_for_better(
    first: Answer,
    situation: Situation,
    after_s: float,
    observer: TrainingObserver,
    stopping: StopOnRequest,
) -> _Search:
    with _workspace(situation) as workspace:
        makers = _candidates(first, situation, workspace, observer)
        results = tuple(read_results(workspace))
        made: dict[CandidateName, _Candidate] = {}
        if len(makers) > 1 and not results:
            made = {name: make() for name, make in makers.items()}
            results = tuple(_try_out(list(made.values()), situation, observer, stopping))
            if stopping.ask() or not results:
                return _Search("Stopped before another network was trained.", results)
            write_results(workspace, results)
        name = _most_promising(results, situation.left_s) if results else next(iter(makers))
        chosen = made.get(name) or makers[name]()
        observer.decided(f"{chosen} gets the rest of the time, {situation.left_s:.0f} s.")
        chosen = replace(chosen, plan=replace(chosen.plan, after_s=after_s))
        learned = _train(chosen, situation.left_s, workspace / name, observer, stopping)
    if learned is None:
        return _Search(f"{chosen} cannot be trained here.", results)
    answer = make_answer(learned, situation.split_sha256)
    if answer.num_wrong < first.num_wrong:
        saved = first.num_wrong - answer.num_wrong
        reason = f"{chosen} answers {saved} more of the validation images rightly."
        return _Search(reason, results, name, answer)
    return _Search(f"{chosen} did not become better than the first answer.", results)


def _save_first_answer(folder: Path, answer: Answer) -> None:
    """Write the file; the run counts as stopped until its training is over."""
    if (folder / BUNDLE_NAME).exists():
        return  # A resumed run: what is there may be better.
    mark_stopped(folder, True)
    val = answer.learned.data.val
    metrics = measure(val.labels, answer.val_probabilities, val.class_names)
    classifier = answer.classifier.with_changes(figures=figures_of(metrics, "val"))
    classifier.save(folder / BUNDLE_NAME)


def _reason_to_stop(answer: Answer, situation: Situation) -> str:
    """Say why nothing more is tried; empty where something is.

    With n wrong answers of the validation images, chance alone moves their number by about the
    square root of n.
    """
    wrong = answer.num_wrong
    if LEAST_GAIN * wrong <= math.sqrt(wrong):
        return (
            f"Done: {wrong} of {len(answer.val_probabilities)} validation images are answered "
            "wrongly, too few to tell whether another network is better."
        )
    if situation.left_s < SHORTEST_TRAINING_S:
        return "Done: the time that is left is too short to train another network."
    return ""


@contextmanager
def _workspace(situation: Situation) -> Iterator[Path]:
    """Give the folder of the candidates' checkpoints: in the run folder, or for a while."""
    if situation.folder is not None:
        place = situation.folder / "candidates"
        make_folder(place)
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="imgclf-") as temporary:
        yield Path(temporary)


def _candidates(
    first: Answer, situation: Situation, workspace: Path, observer: TrainingObserver
) -> dict[CandidateName, Callable[[], _Candidate]]:
    """Return what makes each candidate: planning measures steps, and images are read again."""
    split_file = _split_file(first, situation, workspace)

    def images(settings: Settings) -> ImageData:
        plan = make_plan(situation.directory, replace(settings, split_file=str(split_file)))
        return build_data(plan, observer.scanning, folders=situation.folders)

    def fine_tuned() -> _Candidate:
        settings, plan = _fine_tuning(first, situation)
        return _Candidate("fine_tuned", settings, plan, images(settings), first.classifier)

    def from_scratch() -> _Candidate:
        settings, plan = _from_scratch(first, situation)
        return _Candidate("from_scratch", settings, plan, images(settings), None)

    makers: dict[CandidateName, Callable[[], _Candidate]] = {"fine_tuned": fine_tuned}
    if situation.kind == "any" and TRIAL_SHARE * situation.left_s >= SHORTEST_TRIAL_S:
        makers["from_scratch"] = from_scratch
    return makers


def _split_file(first: Answer, situation: Situation, workspace: Path) -> Path:
    """Return the division of the images, which another size must not change."""
    if situation.folder is not None:
        return situation.folder / SPLIT_NAME
    place = workspace / SPLIT_NAME
    write_atomically(place, split_csv(split_rows(first.learned.data))[0], synced=False)
    return place


def _fine_tuning(first: Answer, situation: Situation) -> tuple[Settings, BudgetPlan]:
    """Choose the largest images for which a few epochs fit into the time."""
    data, given = first.learned.data, situation.settings
    height, width = first.learned.settings.height_and_width
    time_s = (1 - 2 * TRIAL_SHARE) * situation.left_s - RESERVE_S
    num_images = data.train.images_per_epoch + VAL_COST * data.val.num_samples
    side = min(MEASURED_SIDE, height, width)
    image_s = _step_cost(first, side).train_s
    epoch_s = {
        one: num_images * image_s * (one / side) ** 2
        for one in FINE_TUNING_SIDES
        if one <= max(height, width)
    }
    size = height, width
    if given.image_size is BY_RECIPE and epoch_s:
        fitting = [one for one in epoch_s if FINE_TUNING_EPOCHS * epoch_s[one] <= time_s]
        chosen = fitting[-1] if fitting else min(epoch_s)
        size = chosen, chosen
    pixels_ratio = size[0] * size[1] / side**2
    epochs = max(1, round(time_s / (num_images * image_s * pixels_ratio)))
    settings = replace(
        first.learned.settings,
        image_size=size,
        two_phase=False,
        epochs=epochs,
        batch_size=_or(given.batch_size, FINE_TUNING_BATCH),
        optimizer=_or(given.optimizer, "adamw"),
        learning_rate=_or(given.learning_rate, FINE_TUNING_RATE),
        augment=_or(given.augment, "light"),
        label_smoothing=_or(given.label_smoothing, 0.1),
    )
    return settings, BudgetPlan(size, epochs, RESERVE_S)


def _or(given: Any, usual: Any) -> Any:
    """Return what was given, or what is usual where it is left open."""
    return usual if given is BY_RECIPE else given


def _step_cost(first: Answer, side: int) -> StepCost:
    """Measure a fresh network of the same kind; measuring changes its weights."""
    settings = first.learned.settings
    shape: tuple[int, int, int] = (side, side, settings.channels)
    if settings.data_format == "channels_first":
        shape = (settings.channels, side, side)
    origin = origin_of(first.learned.model)
    model = build_unloaded(
        settings.architecture,
        shape,
        first.learned.data.train.num_classes,
        data_format=settings.data_format,
        seed=settings.seed,
        options=dict(settings.options),
        weights_files=origin.weights_files if origin else None,
    )
    with frozen_averages(model):
        return measure_step_cost(
            model, FINE_TUNING_BATCH, optimizer="adamw", precision=settings.precision
        )


def _from_scratch(first: Answer, situation: Situation) -> tuple[Settings, BudgetPlan]:
    """Plan a small network from random weights, as a budget of its own would."""
    data = first.learned.data
    time_s = (1 - 2 * TRIAL_SHARE) * situation.left_s
    num_images = data.train.num_samples
    narrow = num_images >= MANY_SMALL_IMAGES and _are_small(first, situation)
    settings = replace(
        situation.settings,
        architecture="airnet" if narrow else "resnet9",
        budget=time_s,
        two_phase=False,
    )
    settings = resolve_settings(settings, num_images)
    plan = make_plan(situation.directory, settings)
    budget = budget_of(plan, situation.folders, settings, time_s)
    settings = replace(
        settings, image_size=budget.image_size, epochs=budget.epochs, size_is_open=False
    )
    return settings, budget


def _are_small(first: Answer, situation: Situation) -> bool:
    side = typical_side(situation.folders["train"], first.learned.data.train.plan)
    return side <= SMALL_SIDE


def _try_out(
    candidates: Sequence[_Candidate],
    situation: Situation,
    observer: TrainingObserver,
    stopping: StopOnRequest,
) -> Iterator[CandidateResult]:
    """Train each for a short time, with a whole schedule."""
    trial_s = TRIAL_SHARE * situation.left_s
    observer.decided(f"Trying for {trial_s:.0f} s each: " + "; ".join(map(str, candidates)) + ".")
    for candidate in candidates:
        if stopping.ask():
            return
        val = candidate.data.val.some(MOST_TRIAL_VAL)
        short = replace(
            candidate,
            plan=replace(candidate.plan, after_s=0.0),
            data=replace(candidate.data, val=val),
        )
        began_s = time.monotonic()
        learned = _train(short, trial_s, None, observer, stopping)
        if learned is None:
            continue
        accuracy = learned.fitted.history["val_accuracy"][learned.fitted.best_epoch or 0]
        duration_s = time.monotonic() - began_s
        observer.decided(f"{candidate}: {100 * accuracy:.1f} % of validation images.")
        yield CandidateResult(candidate.name, candidate.plan.image_size, duration_s, accuracy)


def _most_promising(results: Sequence[CandidateResult], left_s: float) -> CandidateName:
    """Choose by the error that is to be expected at the end of the time."""

    def expected_error(result: CandidateResult) -> float:
        growth: float = max(1.0, left_s / max(result.duration_s, 1.0))
        return (1 - result.accuracy) / math.pow(growth, ERROR_EXPONENT[result.name])

    return min(results, key=expected_error).name


def _train(
    candidate: _Candidate,
    time_s: float,
    folder: Path | None,
    observer: TrainingObserver,
    stopping: StopOnRequest,
) -> Learned | None:
    """Train a candidate by the clock; None where it cannot be trained here."""
    settings = replace(candidate.settings, budget=time_s)
    task = Task(
        candidate.data.train.plan, settings, folder, candidate.plan, began_s=time.monotonic()
    )
    if folder is not None:
        make_folder(folder)
    try:
        return learn(task, candidate.data, observer, stopping, candidate.start_from)
    except (OutOfMemoryError, TrainingError, DataError) as error:
        _logger.warning("%s cannot be trained here: %s", candidate, error)
        return None
