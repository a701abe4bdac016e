"""A search from its images to its result: study, trials, measurement."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from imgclf.atomic import write_atomically
from imgclf.data.batches.dataset import Batches
from imgclf.data.batches.image_data import build_data
from imgclf.data.batches.plan import Plan
from imgclf.data.reading.layout import read_folder
from imgclf.errors import ArgumentError
from imgclf.runs.folder import split_csv
from imgclf.runs.resolution import make_plan, resolve_for_folder
from imgclf.tuning.candidate_training import settle_optimizer
from imgclf.tuning.candidates import default_candidate
from imgclf.tuning.datasets import DatasetPlan
from imgclf.tuning.outcome import TuningResult, measure_search
from imgclf.tuning.pool import WorkerPool
from imgclf.tuning.request import SearchObserver, SearchRequest
from imgclf.tuning.search import Search, Watcher
from imgclf.tuning.search_spec import SearchSpec
from imgclf.tuning.space import Space
from imgclf.tuning.study import Study, open_study, study_key
from imgclf.tuning.tables import write_tables
from imgclf.tuning.tensorboard import TrialLogs
from imgclf.tuning.trials import Trial

__all__ = ["data_digest", "run_tuning", "tune_folder"]


def tune_folder(
    directory: str | os.PathLike[str],
    request: SearchRequest,
    pool: WorkerPool,
    observer: SearchObserver,
) -> TuningResult:
    """Search on a folder of images; `search_folder` has opened the pool.

    Args:
        directory: The folder.
        request: What is searched, and how.
        pool: The processes that run trials; they may still be starting.
        observer: Told how it goes on.

    Returns:
        What was found.
    """
    folder = read_folder(directory)
    settings = resolve_for_folder(request.settings, folder)
    settings = settle_optimizer(settings, request.architectures, len(folder.class_names))
    plan = make_plan(directory, settings)
    data = build_data(plan, observer.scanning)
    observer.scanned(data)
    digest = data_digest(data.train, data.val)
    return run_tuning(request.spec(settings), plan, digest, pool, observer)


def run_tuning(
    spec: SearchSpec,
    plan: Plan | DatasetPlan,
    digest: str,
    workers: WorkerPool,
    observer: SearchObserver,
) -> TuningResult:
    """Search as `tune` does.

    Args:
        spec: All that decides the search.
        plan: The images.
        digest: What `data_digest` says of them.
        workers: The processes that run trials; they may still be starting.
        observer: Told how it goes on.

    Returns:
        What was found.
    """
    if isinstance(plan, Plan) and plan.store == "memory":
        plan = replace(plan, store="auto")  # The trials' processes share what lies on the disk.
    if spec.refit and (isinstance(plan, DatasetPlan) or build_data(plan).test is None):
        raise ArgumentError(
            "refit needs test images: without them nothing could be said of its result."
        )
    identity = _identity(spec, plan, digest)
    folder = spec.study_dir or _default_folder(spec.space, identity)
    with open_study(folder, identity, resume=spec.resume, fresh=spec.fresh) as study:
        observer.opened(study)
        if isinstance(plan, Plan):
            plan = _fixed_division(study, plan)
        with _drawing(spec, study, observer.verbose) as watcher:

            def ended(trial: Trial, trials: tuple[Trial, ...]) -> None:
                write_tables(study, spec.space, spec.settings)
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


def _default_folder(space: Space, identity: Mapping[str, Any]) -> Path:
    names = re.sub(r"[^\w.+-]", "_", "+".join(space.architectures))
    return Path("studies") / f"{names}-{study_key(identity)}"


def _fixed_division(study: Study, plan: Plan) -> Plan:
    """Write the division down and keep to it.

    Which images look alike is seen a little differently at each size: without this an image could
    be a training image of one trial and a test image of another.
    """
    rows = build_data(plan).split_rows()
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


def _drawing(spec: SearchSpec, study: Study, verbose: bool) -> Any:
    from contextlib import nullcontext

    if not verbose:
        return nullcontext(Watcher())
    from imgclf.tuning.display import SearchDisplay

    return SearchDisplay(spec, study.trials)
