"""`imgclf.tune`: search for the best options of an architecture."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tensorflow as tf

from imgclf.atomic import write_atomically
from imgclf.data.batches.generators import Batches, Plan
from imgclf.errors import ArgumentError
from imgclf.options import Value
from imgclf.runs.folder import split_csv, split_rows
from imgclf.tuning.candidates import default_candidate
from imgclf.tuning.datasets import DatasetPlan, plan_datasets, require_searchable
from imgclf.tuning.display import SearchDisplay
from imgclf.tuning.outcome import TuningResult, measure_search
from imgclf.tuning.pool import WorkerPool, open_pool
from imgclf.tuning.proposals import Strategy, require_strategy
from imgclf.tuning.search import Search, SearchCallbacks
from imgclf.tuning.search_spec import SearchLimits, SearchSpec
from imgclf.tuning.space import Space, make_space
from imgclf.tuning.study import Study, open_study, study_key
from imgclf.tuning.summary_files import write_summary_files
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
    """Search for the options with which an architecture is most accurate on your images.

    The architecture's signature declares what can be searched; by default these are the learning
    rate and each option with ``search=``. The first trial is always the defaults. Each trial runs
    in a process of its own; one that fails is recorded with its reason and harms no other.

    Args:
        architecture: Name of an installed architecture, or several names.
        train: Training batches of `imgclf.make_generators`, or a plain `tf.data.Dataset` of
            ``(images, labels)``: uint8 or float ``(batch, height, width, channels)``, 0..255. A
            plain dataset stays in this process, which sends its batches to the trials; batch size,
            image size and augmentation cannot be searched then.
        val: The validation batches of the same call; they choose the best trial.
        max_trials: Maximum number of trials, including the defaults.
        epochs: Passes over the training images in each trial; the maximum with ``"hyperband"``.
        strategy: ``"random"``, ``"bayesian"`` (needs ``imgclf[bayesian]``), ``"hyperband"`` or
            ``"grid"``.
        tune: Names to search, instead of the default ones.
        space: Values to try by name, such as ``{"filters": [16, 32], "learning_rate":
            "1e-4..1e-2:log"}``.
        budget_s: Wall time in seconds after which no trial starts.
        workers: Number of trials at a time, each in a process of its own.
        study_dir: The study's folder; None is ``studies/<architecture>-<key>``.
        resume: Go on with the study in the folder; finished trials are not repeated.
        fresh: Remove the study in the folder first.
        verbose: 1 draws the progress on standard error.
        refit: Number of seeds with which the best candidate is trained again, on training and
            validation images together; needs test images.
        tensorboard: Write TensorBoard logs with the HParams view to ``tensorboard/`` in the study.
        chief_address: ``"HOST:PORT"`` at which ``imgclf tune-worker`` may join from other machines;
            `workers` may then be 0. The port has no password: use it on a private network only.
        allow_network: Accept an address that other machines can reach.
        **settings: Fields of `imgclf.tuning.trial_settings.TrialSettings`, such as ``seed``,
            ``executions``, ``patience``, ``optimizer`` and ``max_parameters``.

    Returns:
        The best options, their figures and the file of their classifier.

    Raises:
        OptionError: A name cannot be searched.
        ArgumentError: An argument is not accepted.
        StudyError: The folder holds a study already, or another study than the one to resume.
        TuningError: No trial completed, or three in a row failed in the same way.

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
    pool: WorkerPool,
    *,
    verbose: bool = False,
    on_open: Callable[[Study], None] = lambda _study: None,
) -> TuningResult:
    """Run a search as `tune` does.

    Args:
        spec: Everything that decides the search, except the images.
        plan: The images.
        digest: The images' digest, from `data_digest`.
        pool: The workers that run the trials; they may still be starting.
        verbose: Whether to draw the progress on standard error.
        on_open: Called with the study as soon as it is open.

    Returns:
        The outcome.
    """
    if isinstance(plan, Plan) and plan.store == "memory":
        plan = replace(plan, store="auto")  # Processes share pixels on disk only.
    if spec.refit and (isinstance(plan, DatasetPlan) or plan.build().test is None):
        raise ArgumentError(
            "refit needs test images, to measure its result: give some, or leave it out."
        )
    identity = _identity(spec, plan, digest)
    folder = spec.study_dir or _default_folder(spec.space, identity)
    with open_study(folder, identity, resume=spec.resume, fresh=spec.fresh) as study:
        on_open(study)
        if isinstance(plan, Plan):
            plan = _with_fixed_split(study, plan)
        display = SearchDisplay(spec, study.trials) if verbose else nullcontext(SearchCallbacks())
        with display as drawing:

            def on_trial_end(trial: Trial, trials: tuple[Trial, ...]) -> None:
                write_summary_files(study, spec.space, plan, spec.settings)
                drawing.on_trial_end(trial, trials)

            callbacks = replace(drawing, on_trial_end=on_trial_end)
            if spec.tensorboard:
                callbacks = _with_tensorboard(spec, study, plan, callbacks)
            Search(study, spec, plan, callbacks).run(pool)
        return measure_search(spec, study, plan, pool)


def _with_tensorboard(
    spec: SearchSpec, study: Study, plan: Plan | DatasetPlan, callbacks: SearchCallbacks
) -> SearchCallbacks:
    """Return callbacks that also write TensorBoard logs."""
    defaults = [
        default_candidate(architecture, plan, spec.settings)
        for architecture in spec.space.architectures
    ]
    logs = TrialLogs(study.folder, spec.space, defaults)
    logs.begin(study.trials)
    return logs.add_to(callbacks)


@contextmanager
def _images(
    spec: SearchSpec, train: tf.data.Dataset, val: tf.data.Dataset
) -> Iterator[tuple[Plan | DatasetPlan, str]]:
    """Make the images available to the trials' processes; yields their plan and digest."""
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


def _with_fixed_split(study: Study, plan: Plan) -> Plan:
    """Write the split to the study's ``split.csv``, and return a plan that reads it.

    Near-duplicates are found a little differently at each image size: without the file an image
    could be a training image of one trial and a test image of another.
    """
    path = (study.folder / "split.csv").absolute()
    write_atomically(path, split_csv(split_rows(plan.build()))[0])
    return replace(plan, split_file=str(path))


def _identity(spec: SearchSpec, plan: Plan | DatasetPlan, digest: str) -> dict[str, Any]:
    """Return what identifies a study: with any other value it is another study."""
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
    """Return a digest of the images' content and split; it does not depend on their paths."""
    rows = sorted(
        f"{split} {train.class_names[sample.label]} {sample.sha256}"
        for split, batches in (("train", train), ("val", val))
        for sample in batches.samples
    )
    content = "\n".join(rows).encode("utf-8", "surrogateescape")
    return hashlib.sha256(content).hexdigest()[:16]
