"""The outcome of a search: the best trial, measured on images that did not choose it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.loader import load
from imgclf.data.batches.plan import Plan
from imgclf.errors import TuningError
from imgclf.evaluation.evaluator import Evaluation, evaluate
from imgclf.options import Value
from imgclf.tuning.candidate_training import build_images
from imgclf.tuning.candidates import candidate_settings
from imgclf.tuning.datasets import DatasetPlan
from imgclf.tuning.gain import Gain, paired_gain
from imgclf.tuning.importance import importance
from imgclf.tuning.search_spec import SearchSpec
from imgclf.tuning.study import Study
from imgclf.tuning.summary_files import best_settings, trial_rows
from imgclf.tuning.tasks import RefitTask
from imgclf.tuning.trials import Trial, best_trial

if TYPE_CHECKING:
    from imgclf.tuning.pool import WorkerPool

__all__ = ["TuningResult", "measure_search"]


@dataclass(frozen=True, slots=True, eq=False)
class TuningResult:
    """The outcome of a search.

    Attributes:
        best: The trial with the highest mean validation accuracy.
        options: The best trial's value for every option of its architecture.
        learning_rate: The best trial's learning rate.
        settings: Settings that repeat the best trial: ``imgclf.train(folder, **settings)``.
        bundle: File of the best trial's classifier, with the weights that were measured.
        table: One row per trial, the best first.
        trials: All trials, by number.
        evaluation: The evaluation of `bundle` on the images of `split`, in float32.
        split: ``"test"``; ``"val"`` where there are no test images. The validation images also
            chose the trial, so that their figures are too good.
        gain: Difference to the defaults of the best trial's architecture; None where the defaults
            have no result.
        importance: Share of the variance that each option explains; empty below six trials.
        refit_accuracies: Test accuracy of each refit on training and validation images, the first
            of which is ``refit.imgclf`` in `study_dir`; empty without ``refit``.
        study_dir: The study's folder.

    Example:
        >>> result = imgclf.tune("three_conv", train, val, max_trials=10)    # doctest: +SKIP
        >>> clf = imgclf.load(result.bundle)                                 # doctest: +SKIP
        >>> longer = imgclf.train("photos/", **{**result.settings, "epochs": 20})  # doctest: +SKIP
    """

    best: Trial
    options: Mapping[str, Value]
    learning_rate: float
    settings: Mapping[str, Any]
    bundle: Path
    table: list[dict[str, Any]]
    trials: tuple[Trial, ...]
    evaluation: Evaluation
    split: Literal["test", "val"]
    gain: Gain | None
    importance: Mapping[str, float]
    refit_accuracies: tuple[float, ...]
    study_dir: Path


def measure_search(
    spec: SearchSpec, study: Study, plan: Plan | DatasetPlan, pool: WorkerPool
) -> TuningResult:
    """Evaluate the best trial on images that did not choose it, and save its classifier.

    Args:
        spec: The search.
        study: Its trials.
        plan: The images.
        pool: The workers that run the refits, if there are any.

    Returns:
        The outcome.

    Raises:
        TuningError: No trial completed, or a refit failed.
    """
    best = best_trial(study.trials)
    if best is None:
        reasons = "; ".join(dict.fromkeys(trial.reason for trial in study.trials))
        raise TuningError(f"No trial completed: {reasons or 'none was started'}.")
    evaluation, split = _evaluate(spec, study, plan, best)
    bundle = _save_best(spec, study, best, evaluation, split)
    return TuningResult(
        best=best,
        options=best.candidate.options,
        learning_rate=best.candidate.training["learning_rate"],
        settings=best_settings(best, spec.settings),
        bundle=bundle,
        table=trial_rows(study.trials, spec.space),
        trials=study.trials,
        evaluation=evaluation,
        split=split,
        gain=_gain(spec, study, plan, best, evaluation),
        importance=importance(study.trials, spec.space),
        refit_accuracies=_refit(spec, study, plan, best, pool),
        study_dir=study.folder,
    )


def _evaluate(
    spec: SearchSpec, study: Study, plan: Plan | DatasetPlan, trial: Trial
) -> tuple[Evaluation, Literal["test", "val"]]:
    images = build_images(plan, candidate_settings(spec.settings, trial.candidate))
    classifier = _load(spec, study, trial)
    return evaluate(classifier, images.test or images.val), "test" if images.test else "val"


def _load(spec: SearchSpec, study: Study, trial: Trial) -> Classifier:
    function = spec.settings.function(trial.candidate.architecture)
    return load(study.bundle(trial.number), architecture=function)


def _save_best(
    spec: SearchSpec,
    study: Study,
    best: Trial,
    evaluation: Evaluation,
    split: Literal["test", "val"],
) -> Path:
    """Save the best classifier again, with the figures of this evaluation."""
    classifier = _load(spec, study, best)
    measured = classifier.with_changes(figures=evaluation.figures(split))
    return measured.save(study.folder / "best.imgclf")


def _gain(
    spec: SearchSpec,
    study: Study,
    plan: Plan | DatasetPlan,
    best: Trial,
    evaluation: Evaluation,
) -> Gain | None:
    """Compare with the defaults of the same architecture on the same images."""
    number = spec.space.architectures.index(best.candidate.architecture)
    defaults = study.trials[number]
    if defaults.status != "completed" or defaults.number != number:
        return None
    other, split = _evaluate(spec, study, plan, defaults)
    return paired_gain(
        evaluation.predicted == evaluation.labels, other.predicted == other.labels, split
    )


def _refit(
    spec: SearchSpec, study: Study, plan: Plan | DatasetPlan, best: Trial, pool: WorkerPool
) -> tuple[float, ...]:
    """Train the best candidate with several seeds on all images except the test images."""
    if isinstance(plan, DatasetPlan):  # `run_tuning` has refused refits on these.
        return ()
    accuracies: dict[int, float] = {}
    waiting = list(range(spec.refit))
    while waiting or len(accuracies) < spec.refit:
        while waiting and pool.num_idle:
            number = waiting.pop(0)
            # The first one is kept: choosing by test accuracy would bias that figure.
            bundle = "" if number else str(study.folder / "refit.imgclf")
            log = str(study.folder / "logs" / f"refit-{number}.txt")
            seed = spec.settings.training.seed + number
            task = RefitTask(plan, best.candidate, spec.settings, bundle, log, seed)
            pool.run(number, task)
        for number, event in pool.events(timeout_s=1.0):
            if "accuracy" in event:
                accuracies[number] = event["accuracy"]
            elif "lost" in event:
                waiting.append(number)
            elif "error" in event:
                raise TuningError(f"The refit failed: {event['error']}: {event['message']}")
            elif event.get("ended") and number not in accuracies:
                raise TuningError(f"The refit's process ended with status {event['ended']}.")
    return tuple(accuracies[number] for number in sorted(accuracies))
