"""`imgclf.tune`: from batches to the best options that were found."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tensorflow as tf

from imgclf.atomic import write_atomically
from imgclf.data.batches.generators import Batches, Plan
from imgclf.errors import ArgumentError
from imgclf.options import Value
from imgclf.runs.folder import split_csv
from imgclf.tuning.candidates import default_candidate
from imgclf.tuning.datasets import DatasetPlan, plan_datasets, require_searchable
from imgclf.tuning.outcome import TuningResult, measure_search
from imgclf.tuning.pool import WorkerPool, open_pool
from imgclf.tuning.proposals import Strategy, require_strategy
from imgclf.tuning.search import Search, Watcher
from imgclf.tuning.search_spec import SearchLimits, SearchSpec
from imgclf.tuning.space import Space, make_space
from imgclf.tuning.study import Study, open_study, study_key
from imgclf.tuning.tables import write_tables
from imgclf.tuning.tensorboard import TrialLogs
from imgclf.tuning.trial_settings import TrialSettings
from imgclf.tuning.trials import Trial

__all__ = ["TuningResult", "data_digest", "run_tuning", "tune"]


def tune(
    architecture: str | Sequence[str],
    train: tf.data.Dataset,
    val: tf.data.Dataset,
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
    tensorboard: bool = False,
    chief_address: str | None = None,
    allow_network: bool = False,
    **settings: Any,
) -> TuningResult:
    """Search for the options with which an architecture does best on your images.

    The architecture's own signature says what can be searched; by default that is the learning
    rate and each option that it declares with ``search=``. The first trial is always its defaults.
    Each trial runs in a process of its own, from the `plan` of the batches; one that fails is
    recorded with its reason and hurts no other.

    Args:
        architecture: An installed name, or several: their options are searched where they apply.
        train: Training batches of `imgclf.make_generators`, or a plain `tf.data.Dataset` of
            ``(images, labels)``: uint8 or float ``(batch, height, width, channels)``, 0..255. It
            stays in this process, which lends its batches to the trials; batch size, image size
            and augmentation cannot be searched then.
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
        tensorboard: Write ``tensorboard/`` in the study, with the HParams view.
        chief_address: ``"HOST:PORT"`` at which ``imgclf tune-worker`` may join from other machines;
            `workers` may be 0 then. The port has no password: it belongs on a private network.
        allow_network: Accept an address that other machines can reach.
        **settings: Fields of `imgclf.tuning.trial_settings.TrialSettings`, such as ``seed``,
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
    shared = _settings(epochs, settings)
    spec = SearchSpec(
        make_space(architecture, tune=tune, space=space, learning_rate=shared.learning_rate),
        strategy,
        shared,
        SearchLimits(max_trials, budget_s),
        None if study_dir is None else Path(study_dir),
        resume,
        fresh,
        refit,
        tensorboard,
    )
    with (
        _images(spec, train, val) as (plan, digest),
        open_pool(workers, chief_address, allow_network=allow_network) as pool,
    ):
        if chief_address is not None and isinstance(plan, DatasetPlan):
            raise ArgumentError(
                "chief_address needs what imgclf.make_generators returned: a plain "
                "tf.data.Dataset cannot leave this process."
            )
        return run_tuning(spec, plan, digest, pool, verbose=bool(verbose))


def run_tuning(
    spec: SearchSpec,
    plan: Plan | DatasetPlan,
    digest: str,
    workers: WorkerPool,
    *,
    verbose: bool = False,
    opened: Callable[[Study], None] = lambda _study: None,
) -> TuningResult:
    """Search as `tune` does.

    Args:
        spec: All that decides the search.
        plan: The images.
        digest: What `data_digest` says of them.
        workers: The processes that run trials; they may still be starting.
        verbose: Whether the progress is drawn on standard error.
        opened: Called with the study as soon as it is open.

    Returns:
        What was found.
    """
    if isinstance(plan, Plan) and plan.store == "memory":
        plan = replace(plan, store="auto")  # The trials' processes share what lies on the disk.
    if spec.refit and (isinstance(plan, DatasetPlan) or plan.build().test is None):
        raise ArgumentError(
            "refit needs test images: without them nothing could be said of its result."
        )
    identity = _identity(spec, plan, digest)
    folder = spec.study_dir or _default_folder(spec.space, identity)
    with open_study(folder, identity, resume=spec.resume, fresh=spec.fresh) as study:
        opened(study)
        if isinstance(plan, Plan):
            plan = _fixed_division(study, plan)
        with _drawing(spec, study, verbose) as watcher:

            def ended(trial: Trial, trials: tuple[Trial, ...]) -> None:
                write_tables(study, spec.space, plan, spec.settings)
                watcher.ended(trial, trials)

            watching = replace(watcher, ended=ended)
            if spec.tensorboard:
                watching = _logging(spec, study, plan, watching)
            search = Search(
                study, spec.space, spec.strategy, plan, spec.settings, spec.limits, watching
            )
            search.run(workers)
        return measure_search(spec, study, plan, workers)


def _logging(spec: SearchSpec, study: Study, plan: Plan | DatasetPlan, watcher: Watcher) -> Watcher:
    """Write event files for TensorBoard beside all that `watcher` does."""
    defaults = [
        default_candidate(architecture, plan, spec.settings)
        for architecture in spec.space.architectures
    ]
    logs = TrialLogs(study.folder, spec.space, defaults)
    logs.begin(study.trials)
    return logs.watching(watcher)


@contextmanager
def _images(
    spec: SearchSpec, train: tf.data.Dataset, val: tf.data.Dataset
) -> Iterator[tuple[Plan | DatasetPlan, str]]:
    """Make the images available to the processes of trials; gives plan and digest."""
    for name, batches in (("train", train), ("val", val)):
        if not isinstance(batches, tf.data.Dataset):
            raise ArgumentError(
                f"{name} is {type(batches).__name__}: give what imgclf.make_generators returned, "
                "or another tf.data.Dataset of (images, labels)."
            )
    if isinstance(train, Batches) and isinstance(val, Batches):
        if train.plan != val.plan:
            raise ArgumentError(
                "train and val come from two calls of make_generators: give what one call "
                "returned, make_generators(train_dir, val_dir)."
            )
        yield train.plan, data_digest(train, val)
        return
    require_searchable(spec.space)
    if spec.settings.class_weight is not None:
        raise ArgumentError(
            "class_weight='balanced' needs what imgclf.make_generators returned: how often each "
            "class occurs in a plain tf.data.Dataset is not known."
        )
    with plan_datasets(train, val) as plan:
        yield plan, plan.digest


def _settings(epochs: int, settings: Mapping[str, Any]) -> TrialSettings:
    unknown = sorted(set(settings) - set(TrialSettings.__slots__))
    if unknown:
        known = ", ".join(TrialSettings.__slots__)
        raise ArgumentError(f"{unknown[0]!r} is no setting of a search: give one of {known}.")
    return TrialSettings(epochs=epochs, **settings)


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


def _identity(spec: SearchSpec, plan: Plan | DatasetPlan, digest: str) -> dict[str, Any]:
    """Say what makes a study this one: another value anywhere makes another study."""
    return {
        "version": version("imgclf"),
        "objective": "val_accuracy",
        "data": digest,
        "images": {
            **asdict(plan.policy),
            "batch_size": plan.batch_size,
            "augmentation": asdict(plan.augmentation),
        },
        "strategy": spec.strategy,
        "settings": spec.settings.as_dict(),
        "space": spec.space.as_dict(),
    }


def data_digest(train: Batches, val: Batches) -> str:
    """Name the images and their division by content; where they lie does not matter."""
    rows = sorted(
        f"{split} {train.class_names[sample.label]} {sample.sha256}"
        for split, batches in (("train", train), ("val", val))
        for sample in batches.samples
    )
    content = "\n".join(rows).encode("utf-8", "surrogateescape")
    return hashlib.sha256(content).hexdigest()[:16]


def _drawing(spec: SearchSpec, study: Study, verbose: bool) -> Any:
    from contextlib import nullcontext

    if not verbose:
        return nullcontext(Watcher())
    from imgclf.tuning.display import SearchDisplay

    return SearchDisplay(spec, study.trials)
