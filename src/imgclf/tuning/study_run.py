"""A search from its images to its result: study, trials, measurement."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from imgclf.atomic import MOST_OF_A_NAME, write_atomically
from imgclf.data.batches.dataset import Batches
from imgclf.data.batches.image_data import build_data
from imgclf.data.batches.plan import Plan
from imgclf.data.reading.image_folder import Folders
from imgclf.errors import ArgumentError
from imgclf.runs.folder import split_csv, split_rows
from imgclf.runs.resolution import make_plan, resolve_for_folder
from imgclf.tuning.candidate_training import settle_optimizer
from imgclf.tuning.candidates import default_candidate
from imgclf.tuning.datasets import DatasetPlan
from imgclf.tuning.display import SearchDisplay
from imgclf.tuning.outcome import TuningResult, measure_search
from imgclf.tuning.pool import WorkerPool
from imgclf.tuning.request import SearchObserver, SearchRequest
from imgclf.tuning.search import Search, SearchCallbacks
from imgclf.tuning.search_spec import SearchSpec
from imgclf.tuning.space import Space
from imgclf.tuning.study import Study, open_study, study_key
from imgclf.tuning.summary_files import write_summary_files
from imgclf.tuning.tensorboard import TrialLogs
from imgclf.tuning.trials import Trial
from imgclf.workflow.time_budget import size_of_photos

__all__ = ["data_digest", "run_tuning", "tune_folder"]


def tune_folder(
    directory: str | os.PathLike[str],
    folders: Folders,
    request: SearchRequest,
    pool: WorkerPool,
    observer: SearchObserver,
) -> TuningResult:
    """Search on a folder of images; `search_folder` has opened the pool.

    Args:
        directory: The folder.
        folders: What was read of it.
        request: What is searched, and how.
        pool: The processes that run trials; they may still be starting.
        observer: Told how it goes on.

    Returns:
        What was found.
    """
    settings = resolve_for_folder(request.settings, folders["train"])
    num_classes = len(folders["train"].class_names)
    settings = settle_optimizer(settings, request.architectures, num_classes)
    plan = make_plan(directory, settings)
    if settings.size_is_open:
        size = size_of_photos(folders, plan)
        settings = replace(settings, image_size=size, size_is_open=False)
        plan = make_plan(directory, settings)
    data = build_data(plan, observer.scanning, folders=folders, cluster=pool.cluster)
    observer.scanned(data)
    digest = data_digest(data.train, data.val)
    return run_tuning(request.spec(settings), plan, digest, pool, observer)


def run_tuning(
    spec: SearchSpec,
    plan: Plan | DatasetPlan,
    digest: str,
    pool: WorkerPool,
    observer: SearchObserver,
) -> TuningResult:
    """Search as `tune` does.

    Args:
        spec: All that decides the search.
        plan: The images.
        digest: What `data_digest` says of them.
        pool: The workers that run the trials; they may still be starting.
        observer: Told how it goes on.

    Returns:
        What was found.
    """
    if isinstance(plan, Plan) and plan.store == "memory":
        plan = replace(plan, store="auto")  # Processes share pixels on disk only.
    if spec.refit and (isinstance(plan, DatasetPlan) or build_data(plan).test is None):
        raise ArgumentError(
            "refit needs test images, to measure its result: give some, or leave it out."
        )
    identity = _identity(spec, plan, digest)
    folder = spec.study_dir or _default_folder(spec.space, identity)
    with open_study(folder, identity, resume=spec.resume, fresh=spec.fresh) as study:
        observer.opened(study)
        if isinstance(plan, Plan):
            plan = _with_fixed_split(study, plan)
        quiet = nullcontext(SearchCallbacks())
        with SearchDisplay(spec, study.trials) if observer.verbose else quiet as drawing:

            def on_trial_end(trial: Trial, trials: tuple[Trial, ...]) -> None:
                write_summary_files(study, spec.space, spec.settings)
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


def _default_folder(space: Space, identity: Mapping[str, Any]) -> Path:
    names = re.sub(r"[^\w.+-]", "_", "+".join(space.architectures))[:MOST_OF_A_NAME]
    return Path("studies") / f"{names}-{study_key(identity)}"


def _with_fixed_split(study: Study, plan: Plan) -> Plan:
    """Write the division down and keep to it.

    Which images look alike is seen a little differently at each size: without this an image could
    be a training image of one trial and a test image of another.
    """
    rows = split_rows(build_data(plan))
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
        "settings": spec.settings.identity(),
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
