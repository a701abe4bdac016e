"""`imgclf.tune`: from images to the best options that were found."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import keras
import tensorflow as tf

from imgclf.data.batches.augmentation import PRESETS, Augmentation
from imgclf.data.batches.dataset import Batches
from imgclf.data.batches.plan import Plan
from imgclf.errors import ArgumentError
from imgclf.options import Value
from imgclf.runs.keywords import show_keywords
from imgclf.runs.resolution import resolve_settings
from imgclf.runs.settings import Settings
from imgclf.tuning.candidate_training import settle_optimizer
from imgclf.tuning.datasets import DatasetPlan, plan_datasets, require_searchable
from imgclf.tuning.folder_search import search_folder
from imgclf.tuning.outcome import TuningResult
from imgclf.tuning.proposals import Strategy
from imgclf.tuning.request import SearchObserver, SearchRequest
from imgclf.tuning.study_run import data_digest, run_tuning
from imgclf.tuning.trial_settings import NOT_IN_TRIALS

__all__ = ["TuningResult", "tune"]

OF_MAKE_GENERATORS = frozenset({
    "val_dir", "test_dir", "val_split", "split_file", "group_by", "near_duplicates", "store",
    "strict", "oversample", "mixup", "cutmix",
})  # fmt: skip
"""Settings that batches have decided already, beside size, channels and augmentation."""


def tune(
    architecture: str | Callable[..., keras.Model] | Sequence[str | Callable[..., keras.Model]],
    train: str | os.PathLike[str] | tf.data.Dataset,
    val: tf.data.Dataset | None = None,
    *,
    max_trials: int = 20,
    trial_epochs: int = 10,
    strategy: Strategy = "random",
    tune: Sequence[str] | None = None,
    space: Mapping[str, str | Sequence[Value]] | None = None,
    budget: float | str | None = None,
    executions: int = 1,
    max_parameters: int | None = None,
    workers: int | None = None,
    study_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    fresh: bool = False,
    keep: int = 3,
    refit: int = 0,
    tensorboard: bool = False,
    cluster: str | None = None,
    trial_cpus: int | None = None,
    trial_gpus: float | None = None,
    trial_memory_gb: float | None = None,
    allow_unauthenticated: bool = False,
    verbose: int | bool | Literal["auto"] = "auto",
    **given: Any,
) -> TuningResult:
    """Search for the options with which an architecture is most accurate on your images.

    The architecture's signature declares what can be searched; by default these are the learning
    rate and each option with ``search=``. The first trial is always the defaults: what
    `imgclf.train` does in as many epochs. Each trial runs in a process of its own; one that fails
    is recorded with its reason and harms no other.

    Args:
        architecture: Name of an installed architecture, or an architecture function at the top
            level of a file; or several of these.
        train: A folder as for `imgclf.train`; or training batches of `imgclf.make_generators`; or
            a plain `tf.data.Dataset` of ``(images, labels)``: uint8 or float ``(batch, height,
            width, channels)``, 0..255. It stays in this process, which sends its batches to the
            trials; batch size, image size and augmentation cannot be searched then.
        val: The validation batches that came with `train`; they choose the best trial. None for a
            folder.
        max_trials: Maximum number of trials, including the defaults.
        trial_epochs: Passes over the training images in each trial; the maximum with
            ``"hyperband"``.
        strategy: ``"random"``, ``"bayesian"`` (needs ``imgclf[bayesian]``), ``"hyperband"`` or
            ``"grid"``.
        tune: Names to search, instead of the default ones.
        space: Values to try by name, such as ``{"filters": [16, 32], "learning_rate":
            "1e-4..1e-2:log"}``.
        budget: Wall time after which no trial starts: seconds, or a text such as ``"20m"``.
        executions: Trainings per trial, each with another seed; their mean is the trial's score.
        max_parameters: Larger networks are not trained; None sets no limit.
        workers: Number of trials at a time, each in a process of its own; None is 1 without a
            cluster, and as many as a cluster has room for.
        study_dir: The study's folder; None is ``studies/<architecture>-<key>``.
        resume: Go on with the study in the folder; finished trials are not repeated.
        fresh: Remove the study in the folder first.
        keep: Trials whose classifiers stay on disk, the best ones.
        refit: Number of seeds with which the best candidate is trained again, on training and
            validation images together; needs test images.
        tensorboard: Write ``tensorboard/`` in the study, with the HParams view.
        cluster: Run the trials on a Ray cluster: ``"HOST:PORT"``, ``"auto"`` for the one that this
            machine belongs to, or ``"local"`` for a new one of this machine alone. Needs
            ``imgclf[ray]``.
        trial_cpus: Processors that a trial has on a cluster; None is 1.
        trial_gpus: GPUs that a trial has; None is 1 where the cluster has some, otherwise 0.
        trial_memory_gb: Memory that the cluster keeps free for a trial, in GB; None is 2.
        allow_unauthenticated: Connect to a cluster without a token: whoever reaches such a cluster
            runs code on it.
        verbose: ``"auto"`` or 1 shows the progress: in a terminal, in a notebook, or as lines on
            standard error. 2 shows the lines alone, 0 nothing.
        **given: The settings of a training. Those of the images belong to `make_generators` where
            batches are given.

    Returns:
        The best options, their figures and the file of their classifier.

    Raises:
        OptionError: A name cannot be searched.
        ArgumentError: An argument is not accepted.
        StudyError: The folder holds a study already, or another study than the one to resume.
        TuningError: No trial completed, or three in a row failed in the same way.
        ClusterError: The cluster cannot be reached, or no longer answers.

    Example:
        >>> result = imgclf.tune("three_conv", "photos/", max_trials=10)         # doctest: +SKIP
        >>> result.options, result.learning_rate                                 # doctest: +SKIP
    """
    request = SearchRequest(
        architecture=architecture,
        max_trials=max_trials,
        trial_epochs=trial_epochs,
        strategy=strategy,
        tune=tune,
        space=space,
        budget=budget,
        executions=executions,
        max_parameters=max_parameters,
        workers=workers,
        study_dir=study_dir,
        resume=resume,
        fresh=fresh,
        keep=keep,
        refit=refit,
        tensorboard=tensorboard,
        cluster=cluster,
        trial_cpus=trial_cpus,
        trial_gpus=trial_gpus,
        trial_memory_gb=trial_memory_gb,
        allow_unauthenticated=allow_unauthenticated,
        given=given,
    )
    observer = SearchObserver(verbose=bool(verbose))
    if isinstance(train, (str, os.PathLike)):
        return search_folder(train, request, observer)
    if request.cluster is not None and not isinstance(train, Batches):
        raise ArgumentError(
            "cluster needs a folder, or what imgclf.make_generators returned: a plain "
            "tf.data.Dataset cannot leave this process."
        )
    with _images(request, train, val) as (plan, digest), request.open_pool(observer) as pool:
        settings = _settings_of_batches(request, plan, train)
        return run_tuning(request.spec(settings), plan, digest, pool, observer)


show_keywords(tune, inspect.signature(Settings).parameters, leave_out=tuple(NOT_IN_TRIALS))


def _settings_of_batches(
    request: SearchRequest, plan: Plan | DatasetPlan, train: tf.data.Dataset
) -> Settings:
    """Return the settings of trials on batches that were made already."""
    policy = plan.policy
    of_images: dict[str, Any] = {
        "image_size": policy.image_size,
        "channels": policy.channels,
        "resize": policy.resize,
        "data_format": policy.data_format,
        "batch_size": plan.batch_size,
        "augment": _preset_or_itself(plan.augmentation),
    }
    taken = sorted(set(request.given) & (OF_MAKE_GENERATORS | set(of_images)))
    if taken:
        raise ArgumentError(
            f"{taken[0]}={request.given[taken[0]]!r} belongs to make_generators: give it there, or "
            "give tune the folder instead of batches."
        )
    if isinstance(plan, DatasetPlan):
        num_classes, num_images = len(plan.class_names), plan.steps_per_epoch * plan.batch_size
    else:
        num_classes, num_images = train.num_classes, train.num_samples
    settings = resolve_settings(replace(request.settings, **of_images), num_images)
    return settle_optimizer(settings, request.architectures, num_classes)


def _preset_or_itself(augmentation: Augmentation) -> str | Augmentation:
    """Return the name of a preset, where there is one."""
    names = (name for name, preset in PRESETS.items() if preset == augmentation)
    return next(names, augmentation)


@contextmanager
def _images(
    request: SearchRequest, train: tf.data.Dataset, val: tf.data.Dataset | None
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
    require_searchable(request.spec(request.settings).space)
    if request.settings.class_weight is not None:
        raise ArgumentError(
            "class_weight='balanced' needs what imgclf.make_generators returned: how often each "
            "class occurs in a plain tf.data.Dataset is not known."
        )
    with plan_datasets(train, val) as plan:
        yield plan, plan.digest
