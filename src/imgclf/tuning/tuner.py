"""`imgclf.tune`: from batches to the best options that were found."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import tensorflow as tf

from imgclf.atomic import write_atomically
from imgclf.bundle import Figures
from imgclf.data.generators import Batches, Plan
from imgclf.errors import ArgumentError, TuningError
from imgclf.evaluation.evaluating import Evaluation, evaluate
from imgclf.loading import load
from imgclf.options import Value
from imgclf.run_folder import split_csv
from imgclf.tuning.gain import Gain, paired_gain
from imgclf.tuning.importance import importance
from imgclf.tuning.proposing import Strategy, require_strategy
from imgclf.tuning.running import candidate_plan
from imgclf.tuning.search import Limits, Search, Watcher
from imgclf.tuning.settings import RefitOrder, TrialSettings
from imgclf.tuning.space import Space, make_space
from imgclf.tuning.study import Study, open_study, study_key
from imgclf.tuning.tables import best_settings, trial_rows, write_tables
from imgclf.tuning.trials import Trial, best_trial
from imgclf.tuning.workers import Workers

__all__ = ["TuningOrder", "TuningResult", "run_tuning", "tune"]


@dataclass(frozen=True, slots=True)
class TuningOrder:
    """All that decides a search but the images.

    Attributes:
        space: What is searched.
        strategy: How.
        settings: What all trials share.
        limits: When it ends.
        study_dir: The study's folder; None is ``studies/<architectures>-<key>``.
        resume: Go on with the study of that folder.
        fresh: Remove the study of that folder.
        refit: So many seeds with which the best candidate is trained on training and validation
            images together.
    """

    space: Space
    strategy: Strategy
    settings: TrialSettings
    limits: Limits
    study_dir: Path | None = None
    resume: bool = False
    fresh: bool = False
    refit: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class TuningResult:
    """What a search has found.

    Attributes:
        best: The best trial, by its mean validation accuracy.
        options: The best trial's value for every option of its architecture.
        learning_rate: The best trial's learning rate.
        settings: All that `imgclf.train` needs to repeat it: ``train(folder, **settings)``.
        bundle: The best trial's classifier, with the weights that were measured.
        table: One row per trial, the best first.
        trials: All trials, by number.
        evaluation: What the bundle gives on the images of `split`, in float32.
        split: ``"test"``; or ``"val"`` where there are no test images: those also chose the trial.
        gain: Over the defaults of the best trial's architecture; None where these have no result.
        importance: Share of the variance that each option explains; empty below six trials.
        refit_accuracies: Test accuracy of each refit on training and validation images, the first
            of which is ``refit.imgclf`` in `study_dir`; empty without ``refit``.
        study_dir: The folder with all of it.

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


def tune(
    architecture: str | Sequence[str],
    train: Batches,
    val: Batches,
    *,
    max_trials: int = 20,
    epochs: int = 10,
    strategy: Strategy = "random",
    tune: Sequence[str] | None = None,
    space: Mapping[str, str | Sequence[Value]] | None = None,
    budget_s: float | None = None,
    workers: int = 1,
    study_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    fresh: bool = False,
    verbose: int | bool = 0,
    refit: int = 0,
    **settings: Any,
) -> TuningResult:
    """Search for the options with which an architecture does best on your images.

    The architecture's own signature says what can be searched; by default that is the learning
    rate and each option that it declares with ``search=``. The first trial is always its defaults.
    Each trial runs in a process of its own, from the `plan` of the batches; one that fails is
    recorded with its reason and hurts no other.

    Args:
        architecture: An installed name, or several: their options are searched where they apply.
        train: Training batches of `imgclf.make_generators`.
        val: The validation batches that came with them; they choose the best trial.
        max_trials: Most trials, the defaults included.
        epochs: Passes over the training images in each trial; with ``"hyperband"`` the most.
        strategy: ``"random"``, ``"bayesian"`` (needs ``imgclf[bayesian]``), ``"hyperband"`` or
            ``"grid"``.
        tune: Names to search instead of the default ones.
        space: Values to try for single names, as ``{"filters": [16, 32], "learning_rate":
            "1e-4..1e-2:log"}``.
        budget_s: Wall time after which no trial is begun.
        workers: Trials at a time, each in its own process.
        study_dir: Where the study is kept; None is ``studies/<architecture>-<key>``.
        resume: Go on with the study that is there; finished trials are not repeated.
        fresh: Remove the study that is there, and begin anew.
        verbose: 1 draws the progress on standard error.
        refit: So many seeds with which the best candidate is trained once more, on training and
            validation images together; needs test images.
        **settings: Fields of `imgclf.tuning.settings.TrialSettings`, such as ``seed``,
            ``executions``, ``patience``, ``optimizer`` and ``max_parameters``.

    Returns:
        The best options and where their classifier lies.

    Raises:
        OptionError: A name cannot be searched.
        ArgumentError: An argument is not accepted.
        StudyError: The study exists already, or is another one.
        TuningError: No trial came to a result, or three in a row failed in the same way.

    Example:
        >>> train, val = imgclf.make_generators("photos/", image_size=(96, 96))  # doctest: +SKIP
        >>> result = imgclf.tune("three_conv", train, val, max_trials=10)        # doctest: +SKIP
        >>> result.options, result.learning_rate                                 # doctest: +SKIP
    """
    require_strategy(strategy)
    _require_batches(train, val)
    order = TuningOrder(
        make_space(architecture, tune=tune, space=space),
        strategy,
        _settings(epochs, settings),
        Limits(max_trials, budget_s),
        None if study_dir is None else Path(study_dir),
        resume,
        fresh,
        refit,
    )
    if isinstance(workers, bool) or not workers >= 1 or workers % 1:
        raise ArgumentError(f"workers={workers!r} is not accepted: give a whole number from 1 on.")
    with Workers(workers) as pool:
        return run_tuning(order, train, val, pool, verbose=bool(verbose))


def run_tuning(
    order: TuningOrder,
    train: Batches,
    val: Batches,
    workers: Workers,
    *,
    verbose: bool = False,
    opened: Callable[[Study], None] = lambda _study: None,
) -> TuningResult:
    """Search as `tune` does.

    Args:
        order: All that decides the search.
        train: Training batches.
        val: Validation batches of the same plan.
        workers: The processes that run trials; they may still be starting.
        verbose: Whether the progress is drawn on standard error.
        opened: Called with the study as soon as it is open.

    Returns:
        What was found.
    """
    plan = _sharing_store(train.plan)
    if order.refit and plan.build().test is None:
        raise ArgumentError(
            "refit needs test images: without them nothing could be said of its result."
        )
    identity = _identity(order, train, val, plan)
    folder = order.study_dir or _default_folder(order.space, identity)
    with open_study(folder, identity, resume=order.resume, fresh=order.fresh) as study:
        opened(study)
        plan = _fixed_division(study, plan)
        with _drawing(order, study, verbose) as watcher:

            def ended(trial: Trial, trials: tuple[Trial, ...]) -> None:
                write_tables(study, order.space, plan, order.settings)
                watcher.ended(trial, trials)

            search = Search(
                study, order.space, order.strategy, plan, order.settings, order.limits,
                replace(watcher, ended=ended),
            )  # fmt: skip
            search.run(workers)
        return _result(order, study, plan, workers)


def _require_batches(train: object, val: object) -> None:
    for name, batches in (("train", train), ("val", val)):
        if not isinstance(batches, Batches):
            kind = "tf.data.Dataset" if isinstance(batches, tf.data.Dataset) else type(batches)
            raise ArgumentError(
                f"{name} is a plain {kind}; trials run in processes of their own and build their "
                "batches from a plan: give what imgclf.make_generators returned."
            )
    if train.plan != val.plan:  # type: ignore[attr-defined]
        raise ArgumentError(
            "train and val come from two calls of make_generators: give what one call returned, "
            "make_generators(train_dir, val_dir)."
        )


def _settings(epochs: int, settings: Mapping[str, Any]) -> TrialSettings:
    unknown = sorted(set(settings) - set(TrialSettings.__slots__))
    if unknown:
        known = ", ".join(TrialSettings.__slots__)
        raise ArgumentError(f"{unknown[0]!r} is no setting of a search: give one of {known}.")
    return TrialSettings(epochs=epochs, **settings)


def _sharing_store(plan: Plan) -> Plan:
    """Let the trials' processes share the pixels, which memory does not allow."""
    return replace(plan, store="auto") if plan.store == "memory" else plan


def _default_folder(space: Space, identity: Mapping[str, Any]) -> Path:
    names = re.sub(r"[^\w.+-]", "_", "+".join(space.architectures))
    return Path("studies") / f"{names}-{study_key(identity)}"


def _fixed_division(study: Study, plan: Plan) -> Plan:
    """Write the division down and keep to it.

    Which images look alike is seen a little differently at each size: without this an image could
    be a training image of one trial and a test image of another.
    """
    data = plan.build()
    names = data.train.class_names
    rows = [
        (sample.path, sample.sha256, names[sample.label], split)
        for split, batches in (("train", data.train), ("val", data.val), ("test", data.test))
        if batches is not None
        for sample in batches.samples
    ]
    path = (study.folder / "split.csv").absolute()
    write_atomically(path, split_csv(rows)[0])
    return replace(plan, split_file=str(path))


def _identity(order: TuningOrder, train: Batches, val: Batches, plan: Plan) -> dict[str, Any]:
    """Say what makes a study this one: another value anywhere makes another study."""
    return {
        "version": version("imgclf"),
        "objective": "val_accuracy",
        "data": _data_digest(train, val),
        "images": {
            **asdict(plan.policy),
            "batch_size": plan.batch_size,
            "augmentation": asdict(plan.augmentation),
        },
        "strategy": order.strategy,
        "settings": order.settings.as_dict(),
        "space": order.space.as_dict(),
    }


def _data_digest(train: Batches, val: Batches) -> str:
    """Name the images and their division by content; where they lie does not matter."""
    rows = sorted(
        f"{split} {train.class_names[sample.label]} {sample.sha256}"
        for split, batches in (("train", train), ("val", val))
        for sample in batches.samples
    )
    content = "\n".join(rows).encode("utf-8", "surrogateescape")
    return hashlib.sha256(content).hexdigest()[:16]


def _drawing(order: TuningOrder, study: Study, verbose: bool) -> Any:
    from contextlib import nullcontext

    if not verbose:
        return nullcontext(Watcher())
    from imgclf.tuning.display import SearchDisplay

    return SearchDisplay(order, study.trials)


def _result(order: TuningOrder, study: Study, plan: Plan, workers: Workers) -> TuningResult:
    best = best_trial(study.trials)
    if best is None:
        reasons = "; ".join(dict.fromkeys(trial.reason for trial in study.trials))
        raise TuningError(f"No trial came to a result: {reasons or 'none was begun'}.")
    evaluation, split = _evaluate(study, plan, best)
    bundle = _save_best(study, best, evaluation, split)
    return TuningResult(
        best=best,
        options=best.candidate.options,
        learning_rate=best.candidate.training["learning_rate"],
        settings=best_settings(best, plan, order.settings),
        bundle=bundle,
        table=trial_rows(study.trials, order.space),
        trials=study.trials,
        evaluation=evaluation,
        split=split,
        gain=_gain(order, study, plan, best, evaluation),
        importance=importance(study.trials, order.space),
        refit_accuracies=_refit(order, study, plan, best, workers),
        study_dir=study.folder,
    )


def _evaluate(study: Study, plan: Plan, trial: Trial) -> tuple[Evaluation, Literal["test", "val"]]:
    data = candidate_plan(plan, trial.candidate).build()
    classifier = load(study.bundle(trial.number))
    return evaluate(classifier, data.test or data.val), "test" if data.test else "val"


def _save_best(
    study: Study, best: Trial, evaluation: Evaluation, split: Literal["test", "val"]
) -> Path:
    """Save the best classifier once more, with the figure that did not choose it."""
    metrics = evaluation.metrics
    classifier = load(study.bundle(best.number))
    classifier.figures = Figures(
        split=split,
        num_images=metrics.num_images,
        accuracy=metrics.accuracy,
        accuracy_low=metrics.accuracy_interval.low,
        accuracy_high=metrics.accuracy_interval.high,
        majority_accuracy=metrics.majority.accuracy,
    )
    return classifier.save(study.folder / "best.imgclf")


def _gain(
    order: TuningOrder, study: Study, plan: Plan, best: Trial, evaluation: Evaluation
) -> Gain | None:
    """Compare with the defaults of the same architecture, on the same images."""
    number = order.space.architectures.index(best.candidate.architecture)
    defaults = study.trials[number]
    if defaults.status != "completed" or defaults.number != number:
        return None
    other, split = _evaluate(study, plan, defaults)
    return paired_gain(
        evaluation.predicted == evaluation.labels, other.predicted == other.labels, split
    )


def _refit(
    order: TuningOrder, study: Study, plan: Plan, best: Trial, workers: Workers
) -> tuple[float, ...]:
    """Train the best candidate with several seeds on all images but the test images."""
    accuracies: dict[int, float] = {}
    waiting = list(range(order.refit))
    while waiting or len(accuracies) < order.refit:
        while waiting and workers.num_idle:
            number = waiting.pop(0)
            # The first one is the result: choosing the best by its test accuracy would flatter it.
            bundle = "" if number else str(study.folder / "refit.imgclf")
            log = str(study.folder / "logs" / f"refit-{number}.txt")
            seed = order.settings.seed + number
            workers.run(number, RefitOrder(plan, best.candidate, order.settings, seed, bundle, log))
        for number, event in workers.events(timeout_s=1.0):
            if "accuracy" in event:
                accuracies[number] = event["accuracy"]
            elif "lost" in event:
                waiting.append(number)
            elif "error" in event:
                raise TuningError(f"The refit failed: {event['error']}: {event['message']}")
            elif event.get("ended") and number not in accuracies:
                raise TuningError(f"The refit's process ended with status {event['ended']}.")
    return tuple(accuracies[number] for number in sorted(accuracies))
