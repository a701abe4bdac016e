"""A training on several machines, as seen from the process that asked for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras

from imgclf.classifiers.classifier import Classifier
from imgclf.clusters.connection import Cluster
from imgclf.data.batches.image_data import ImageData
from imgclf.errors import ArgumentError, ClusterError, DataError
from imgclf.machine.devices import divisible_batch_size
from imgclf.machine.terminal import shell_word
from imgclf.training.checkpoints import newest_checkpoint, newest_state
from imgclf.training.progress import drawn_progress
from imgclf.training.stop_request import StopOnRequest
from imgclf.training.two_phase import in_two_phases
from imgclf.workflow.changed_images import keeping_best_epoch
from imgclf.workflow.learner import (
    Learned,
    Task,
    TrainingObserver,
    build_network,
    in_batches_of,
    with_optimizer,
)
from imgclf.workflow.shared_task import SharedTask
from imgclf.workflow.worker_crew import Crew

__all__ = ["learn_on_cluster"]


def learn_on_cluster(
    task: Task,
    data: ImageData,
    observer: TrainingObserver,
    stopping: StopOnRequest,
    start_from: Classifier | None,
    cluster: Cluster,
    num_workers: int | None,
    split_sha256: str,
) -> Learned:
    """Fit a network on several machines, each of which computes a part of every batch.

    Where a worker is lost, new ones go on from the newest checkpoint, which the first worker sends;
    where its machine is, as many as there is room for.

    Args:
        task: What is to be learned.
        data: Its images.
        observer: Who is told how it goes on.
        stopping: Ends the training in good order.
        start_from: A classifier to go on from.
        cluster: The cluster.
        num_workers: Workers that share each batch; None is one for each machine.
        split_sha256: Hash of the division of the images.

    Returns:
        The fitted network.

    Raises:
        ArgumentError: The network is trained in two phases.
        ClusterError: The cluster has no room, or workers were lost too often.
        TrainingError: The training failed as it would on one machine.
    """
    count = num_workers or len(cluster.nodes)
    counts = [data.train.num_samples, data.val.num_samples]
    batch_size = divisible_batch_size(task.settings.batch_size, counts, count)
    if batch_size != task.plan.batch_size:
        task, data = in_batches_of(batch_size, task)
    if task.settings.precision == "auto":  # Each machine would choose another one.
        task = replace(task, settings=replace(task.settings, precision="float32"))
        task.record()
    model = build_network(task.settings, data, start_from)
    if in_two_phases(model, task.settings.two_phase):
        raise ArgumentError(
            "The two phases of a pretrained network work on one machine only: add "
            "--no-two-phase (two_phase=False), or train without a cluster."
        )
    task = with_optimizer(task, model)
    shared = SharedTask(
        plan=task.plan,
        settings=replace(task.settings, two_phase=False),
        split_sha256=split_sha256,
        weights=model.get_weights(),
        is_fine_tuning=start_from is not None and in_two_phases(model, None),
        checkpoint=None,
    )
    place = task.folder / "checkpoints" if task.folder is not None else None
    with drawn_progress(observer.verbose, batch_size) as drawing:
        numbers = [
            number
            for number in range(count, 0, -1)
            if divisible_batch_size(batch_size, counts, number) == batch_size
        ]
        crew = Crew(cluster, numbers, shared, place, drawing, stopping)
        with keeping_best_epoch(
            model, data, task.folder, mirrored=task.settings.mirrored_prediction
        ):
            try:
                outcome = crew.fit(observer.decided)
            except DataError:
                _take_best(model, place)
                raise
            except ClusterError as error:
                if task.folder is None or place is None or newest_checkpoint(place) is None:
                    raise
                raise ClusterError(
                    f"{error} The newest checkpoint is kept: imgclf train --resume "
                    f"{shell_word(str(task.folder))} goes on from it, with a cluster or without."
                ) from error
    if outcome.fitted is None:
        raise AssertionError("A worker that ended well has fitted a network.")
    model.set_weights(list(outcome.weights))
    return Learned(model, data, outcome.fitted, task.settings)


def _take_best(model: keras.Model, checkpoints: Path | None) -> None:
    """Take over the weights of the best epoch that a worker has sent."""
    state = newest_state(checkpoints) if checkpoints is not None else None
    if state is not None and state.best_weights:
        model.set_weights(list(state.best_weights))
