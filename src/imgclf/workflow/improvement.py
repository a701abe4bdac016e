"""A first answer within seconds, then a better one as long as that pays.

The first answer is a linear head on the features of a pretrained network. What may be better, the
same network fine-tuned or a small one from random weights, is tried for a short time; what does
better gets the rest of the time. The validation images decide; test images are not looked at.
"""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgclf.atomic import make_folder, write_atomically
from imgclf.data.batches.image_data import ImageData, build_data
from imgclf.errors import DataError, OutOfMemoryError, TrainingError
from imgclf.evaluation.results import figures_of
from imgclf.figures.metrics import measure
from imgclf.figures.shares import shown_share
from imgclf.runs.config import from_config, plain_settings
from imgclf.runs.folder import (
    BUNDLE_NAME,
    SPLIT_NAME,
    mark_stopped,
    read_config,
    split_csv,
    split_rows,
)
from imgclf.runs.resolution import make_plan
from imgclf.runs.run_names import CONFIG_NAME
from imgclf.runs.settings import Settings
from imgclf.training.budget import RESERVE_S, BudgetPlan
from imgclf.training.stop_request import AbandonedError, AbandonOnRequest, StopOnRequest
from imgclf.workflow.candidate_plans import for_a_trial, plan_fine_tuning, plan_from_scratch
from imgclf.workflow.candidate_results import (
    CandidateName,
    CandidateResult,
    read_results,
    write_results,
)
from imgclf.workflow.learner import Learned, Task, TrainingObserver, learn
from imgclf.workflow.measurement import Answer, make_answer
from imgclf.workflow.situation import Situation

if TYPE_CHECKING:
    from imgclf.classifiers.classifier import Classifier

__all__ = ["Course", "improve"]

_logger = logging.getLogger(__name__)

LearnHead = Callable[[ImageData, StopOnRequest], Learned]
"""Fits a head to the frozen features of images, until a stop is requested."""

FIRST_ANSWER_PIXELS = 100_000_000
"""Pixels of the training images of a first answer: some fifteen seconds of two cores."""

WORTH_DIVIDING = 1.5
"""How many times as many pixels there must be for a first answer from a part of them."""

TRIAL_SHARE = 0.06
"""Share of the time that each candidate is tried for."""

SHORTEST_TRIAL_S = 10.0
"""Below it a trial tells nothing but how long its network takes to compile."""

SHORTEST_TRAINING_S = 30.0
"""Below it a fine-tuning is hardly begun when it has to end."""

MOST_TRIAL_VAL = 1_000
"""Validation images of a trial: they tell 90% to one point."""

LEAST_GAIN = 0.5
"""Share of the wrong answers that a better network is hoped to put right."""

FAR_BETTER = 0.75
"""Share of the first answer's errors below which the features of more images, which take away some
tenth of them, will not bring it."""

ERROR_EXPONENT = 0.22
"""How errors fall with the time of a whole schedule: as its power, of either road; see
`docs/performance.md`."""


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


_Candidates = Mapping[CandidateName, Callable[[], _Candidate]]
"""What makes each candidate when it is needed."""


def improve(
    learn_head: LearnHead,
    situation: Situation,
    observer: TrainingObserver,
    stopping: StopOnRequest,
) -> tuple[Answer, Course]:
    """Make a first answer, save it, and look for a better one.

    Args:
        learn_head: Fits a head to the frozen features of images.
        situation: Where the training stands.
        observer: Is told of the first answer and of what is tried.
        stopping: Ends it in good order, with the best so far.

    Returns:
        The best answer, and the way to it.
    """
    part = _first_part(situation.data)
    learned = learn_head(part, stopping)
    fitted_s = time.monotonic()
    answer = make_answer(learned, situation.split_sha256)
    is_new = situation.folder is not None and not (situation.folder / BUNDLE_NAME).exists()
    if is_new:  # Otherwise the run is resumed: what is there may be better.
        _save_answer(situation, answer)
    now_s = time.monotonic()
    # The last answer will be made and measured likewise, and then described.
    first_s, after_s = now_s - situation.began_s, 2 * (now_s - fitted_s) + RESERVE_S
    observer.answered(answer.val_accuracy, first_s)

    def with_every_image(first: Answer) -> Answer:
        """Learn from those images, too, that the first answer did not wait for."""
        if first.learned.data is situation.data:
            return first
        num_images = situation.data.train.num_samples
        observer.decided(
            f"The first answer learned from {part.train.num_samples} images; going on with all "
            f"{num_images}."
        )
        try:
            learned = learn_head(situation.data, AbandonOnRequest(stopping.ask))
        except AbandonedError:
            return first
        answer = make_answer(learned, situation.split_sha256)
        observer.decided(
            f"All images: {shown_share(answer.val_accuracy)} of the validation images right."
        )
        if is_new:
            _save_answer(situation, answer)
        return answer

    found = _look_for_better(answer, with_every_image, situation, after_s, observer, stopping)
    observer.decided(found.reason)
    return found.answer, Course(
        answer.val_accuracy,
        first_s,
        found.results,
        found.name,
        found.answer.val_accuracy,
        found.reason,
        plain_settings(found.answer.learned.settings),
    )


def _first_part(data: ImageData) -> ImageData:
    """Return what a first answer learns from: all training images, or a part of very many."""
    height, width = data.train.policy.image_size
    most = FIRST_ANSWER_PIXELS // (height * width)
    if data.train.num_samples <= WORTH_DIVIDING * most:
        return data
    return replace(data, train=data.train.some(most))


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """The best answer that was found, and the way to it."""

    answer: Answer
    reason: str
    results: tuple[CandidateResult, ...] = ()
    name: str = "first"


def _look_for_better(
    first: Answer,
    with_every_image: Callable[[Answer], Answer],
    situation: Situation,
    after_s: float,
    observer: TrainingObserver,
    stopping: StopOnRequest,
) -> _Search:
    has_trials = situation.kind == "any" and TRIAL_SHARE * situation.left_s >= SHORTEST_TRIAL_S
    if not stopping.ask() and (not has_trials or _reason_to_stop(first, situation)):
        first = with_every_image(first)
    reason = _reason_to_end(first, situation, stopping)
    if reason:
        return _Search(first, reason)
    with _workspace(situation) as workspace:
        candidates = _candidates(first, situation, workspace, observer)
        results: tuple[CandidateResult, ...] = ()
        if has_trials:
            results = _results_of_trials(candidates, situation, workspace, observer, stopping)
            if not stopping.ask() and not _promises_more(results, situation.left_s, first):
                first = with_every_image(first)
        reason = _reason_to_end(first, situation, stopping)
        if reason:
            return _Search(first, reason, results)
        name = _best(results).name if results else "fine_tuned"
        chosen = candidates[name]()
        observer.decided(f"{chosen} gets the rest of the time, {situation.left_s:.0f} s.")
        # Mirrored predictions of another network can take longer than those of the first answer.
        after_s = max(after_s, chosen.plan.after_s)
        chosen = replace(chosen, plan=replace(chosen.plan, after_s=after_s))
        # Building a candidate takes time too, on a busy machine all that was left.
        left_s = max(1.0, situation.left_s)
        learned = _train(chosen, left_s, workspace / name, observer, stopping)
    if learned is None:
        return _Search(first, f"{chosen} cannot be trained here.", results)
    answer = make_answer(learned, situation.split_sha256)
    if answer.num_wrong < first.num_wrong:
        saved = first.num_wrong - answer.num_wrong
        reason = f"{chosen} classifies {saved} more validation images correctly."
        return _Search(answer, reason, results, name)
    return _Search(first, f"{chosen} is no better than the first answer.", results)


def _results_of_trials(
    candidates: _Candidates,
    situation: Situation,
    workspace: Path,
    observer: TrainingObserver,
    stopping: StopOnRequest,
) -> tuple[CandidateResult, ...]:
    """Try both candidates, unless an earlier part of the run has done so."""
    results = tuple(read_results(workspace))
    if results:
        return results
    tried = [make() for make in candidates.values()]
    results = tuple(_try_out(tried, situation, observer, stopping))
    if results and not stopping.ask():
        write_results(workspace, results)
    return results


def _save_answer(situation: Situation, answer: Answer) -> None:
    """Write the file; the run counts as stopped until its training is over."""
    folder = situation.folder
    assert folder is not None
    mark_stopped(folder, True)
    val = answer.learned.data.val
    metrics = measure(val.labels, answer.val_probabilities, val.class_names)
    classifier = answer.classifier.with_changes(figures=figures_of(metrics, "val"))
    classifier.save(folder / BUNDLE_NAME)


def _reason_to_end(answer: Answer, situation: Situation, stopping: StopOnRequest) -> str:
    """Say why no other network is trained; empty where one is."""
    if stopping.ask():
        return "Stopped before another network was trained."
    return _reason_to_stop(answer, situation)


def _reason_to_stop(answer: Answer, situation: Situation) -> str:
    """Say why nothing more is tried; empty where something is.

    With n wrong answers of the validation images, chance alone moves their number by about the
    square root of n.
    """
    wrong = answer.num_wrong
    if LEAST_GAIN * wrong <= math.sqrt(wrong):
        return (
            f"Done: {wrong} of {len(answer.val_probabilities)} validation images "
            f"{'is' if wrong == 1 else 'are'} wrong, too few to tell whether another network is "
            "better."
        )
    if situation.left_s < SHORTEST_TRAINING_S:
        return "Done: too little time is left to train another network."
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
) -> _Candidates:
    """Return what makes each candidate, once: planning measures steps, and reads images again."""
    split_file = _split_file(situation, workspace)
    time_s = (1 - 2 * TRIAL_SHARE) * situation.left_s

    def images(settings: Settings) -> ImageData:
        plan = make_plan(situation.directory, replace(settings, split_file=str(split_file)))
        return build_data(plan, observer.scanning, folders=situation.folders)

    @cache
    def fine_tuned() -> _Candidate:
        settings, plan = plan_fine_tuning(first, situation, time_s)
        return _Candidate("fine_tuned", settings, plan, images(settings), first.classifier)

    @cache
    def from_scratch() -> _Candidate:
        begun = _begun(workspace / "from_scratch")
        settings, plan = begun or plan_from_scratch(situation, time_s)
        return _Candidate("from_scratch", settings, plan, images(settings), None)

    return {"fine_tuned": fine_tuned, "from_scratch": from_scratch}


def _begun(folder: Path) -> tuple[Settings, BudgetPlan] | None:
    """Return how a resumed run has begun: its weights fit no network of another width."""
    if not (folder / CONFIG_NAME).exists():
        return None
    _, settings = from_config(read_config(folder))
    return settings, BudgetPlan(settings.height_and_width, settings.epochs, RESERVE_S)


def _split_file(situation: Situation, workspace: Path) -> Path:
    """Return the division of the images, which another size must not change."""
    if situation.folder is not None:
        return situation.folder / SPLIT_NAME
    place = workspace / SPLIT_NAME
    write_atomically(place, split_csv(split_rows(situation.data))[0], synced=False)
    return place


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
            settings=for_a_trial(candidate.settings, TRIAL_SHARE / (1 - 2 * TRIAL_SHARE)),
            plan=replace(candidate.plan, after_s=0.0),
            data=replace(candidate.data, val=val),
        )
        began_s = time.monotonic()
        learned = _train(short, trial_s, None, observer, stopping)
        if learned is None:
            continue
        accuracy = learned.fitted.history["val_accuracy"][learned.fitted.best_epoch or 0]
        duration_s = time.monotonic() - began_s
        observer.decided(f"{candidate}: {shown_share(accuracy)} of the validation images right.")
        yield CandidateResult(candidate.name, candidate.plan.image_size, duration_s, accuracy)


def _best(results: Sequence[CandidateResult]) -> CandidateResult:
    """Choose by the trials: with the rest of the time, the errors of either road fall alike."""
    return max(results, key=lambda result: result.accuracy)


def _promises_more(results: Sequence[CandidateResult], left_s: float, first: Answer) -> bool:
    """Tell whether a trained network leaves the frozen one behind.

    The features of the images that the first answer did not wait for are then not worth their time.
    """
    if not results:
        return False
    best = _best(results)
    growth = max(1.0, left_s / max(best.duration_s, 1.0))
    expected_error = (1 - best.accuracy) / math.pow(growth, ERROR_EXPONENT)
    return expected_error < FAR_BETTER * (1 - first.val_accuracy)


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
