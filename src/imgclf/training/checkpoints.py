"""Checkpoints of a training: after each epoch and every few minutes, whole or not at all.

A checkpoint is one safetensors file: weights, optimizer, seeds of the dropouts, running means of
the epoch's metrics, and the weights of the best epoch; its metadata hold the history. A sha256 in
its last bytes detects a damaged file; then the checkpoint before is used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from imgclf.atomic import write_atomically
from imgclf.errors import TrainingError

if TYPE_CHECKING:
    from imgclf.training.best_epoch import BestEpoch

__all__ = [
    "CheckpointWriter",
    "TrainingState",
    "capture",
    "keep_checkpoint",
    "newest_checkpoint",
    "newest_state",
    "remove_states",
    "restore",
    "save_state",
]

INTERVAL_S = 120.0
"""Seconds of training that are lost at the most when the process is killed."""

NUM_KEPT = 2
"""Checkpoints that are kept: the newest, and the one before in case the newest is damaged."""

HASH_BYTES = 64
_GROUPS = ("variables", "optimizer", "best_weights", "metrics")
_NAME = re.compile(r"epoch-\d{6}-step-\d{8}\.safetensors")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """All that a training needs to resume exactly.

    Attributes:
        epoch: Number of epochs that are done.
        step: Number of steps that are done of the epoch that follows.
        variables: The model's weights and dropout seeds, in its order.
        optimizer: The optimizer's variables, in its order.
        best_weights: The weights of the best epoch so far; empty before there is one.
        best_epoch: That epoch, counted from 0; None before there is one.
        best_score: Its validation accuracy and negative loss.
        history: The figures of each epoch so far.
        metrics: The running means of the metrics within an epoch; empty between epochs.
    """

    epoch: int
    step: int
    variables: Sequence[NDArray[Any]]
    optimizer: Sequence[NDArray[Any]]
    best_weights: Sequence[NDArray[Any]]
    best_epoch: int | None
    best_score: tuple[float, float]
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    metrics: Sequence[NDArray[Any]] = ()


def capture(
    model: keras.Model,
    epoch: int,
    step: int,
    best_weights: Sequence[NDArray[Any]],
    best_epoch: int | None,
    best_score: tuple[float, float],
    history: Mapping[str, Sequence[float]],
) -> TrainingState:
    """Copy the state of a model that is being trained.

    Args:
        model: The compiled model.
        epoch: Number of epochs that are done.
        step: Number of steps that are done of the epoch that follows.
        best_weights: The weights of the best epoch so far.
        best_epoch: That epoch.
        best_score: Its score.
        history: The figures so far.

    Returns:
        The state; later steps do not change it.
    """
    return TrainingState(
        epoch=epoch,
        step=step,
        variables=[np.array(v.numpy()) for v in _variables(model)],
        optimizer=[np.array(v.numpy()) for v in model.optimizer.variables],
        best_weights=list(best_weights),
        best_epoch=best_epoch,
        best_score=best_score,
        history={name: list(values) for name, values in history.items()},
        metrics=[np.array(v.numpy()) for v in model.metrics_variables] if step else [],
    )


def restore(model: keras.Model, state: TrainingState) -> None:
    """Restore a state into a freshly built and compiled model.

    Args:
        model: A model of the same architecture, options and optimizer.
        state: What `capture` returned.

    Raises:
        TrainingError: The state is that of another network or optimizer.
    """
    model.optimizer.build(model.trainable_variables)
    targets = [*_variables(model), *model.optimizer.variables]
    values = [*state.variables, *state.optimizer]
    if [tuple(t.shape) for t in targets] != [v.shape for v in values]:
        raise TrainingError(
            "The checkpoint is that of another network or optimizer: continue with the same "
            "settings, or start again in another run folder."
        )
    for target, value in zip(targets, values, strict=True):
        target.assign(value)


def save_state(folder: Path, state: TrainingState) -> Path:
    """Write a checkpoint, then remove the oldest ones.

    Args:
        folder: The folder of the checkpoints; it is made where it is missing.
        state: What `capture` returned.

    Returns:
        The file.

    Raises:
        TrainingError: The disk is full or not writable; earlier checkpoints are as they were.
    """
    target = folder / f"epoch-{state.epoch:06}-step-{state.step:08}.safetensors"
    tensors = {
        f"{group}/{index:05}": np.asarray(value, order="C")
        for group in _GROUPS
        for index, value in enumerate(getattr(state, group))
    }
    facts = {
        "epoch": state.epoch,
        "step": state.step,
        "best_epoch": state.best_epoch,
        "best_score": [repr(value) for value in state.best_score],
        "history": {name: [repr(v) for v in values] for name, values in state.history.items()},
    }
    content = safetensors.numpy.save(tensors, metadata={"state": json.dumps(facts)})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content + hashlib.sha256(content).hexdigest().encode())
    except OSError as error:
        raise TrainingError(
            f"The checkpoint {target} cannot be written ({error.strerror}): free some space and "
            "continue with --resume; the earlier checkpoints are whole."
        ) from error
    _remove_oldest(folder)
    return target


def keep_checkpoint(folder: Path, name: str, content: bytes) -> None:
    """Write a checkpoint that another machine made, then remove the oldest ones.

    Args:
        folder: The folder of the checkpoints; it is made where it is missing.
        name: The file's name there.
        content: What `newest_checkpoint` returned there.

    Raises:
        OSError: The disk is full or not writable; earlier checkpoints are as they were.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no name of a checkpoint.")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / name, content)
    _remove_oldest(folder)


def newest_checkpoint(folder: Path) -> tuple[str, bytes] | None:
    """Return name and content of the newest whole checkpoint, to be sent to another machine."""
    for file in _files(folder):
        if _read(file) is not None:
            return file.name, file.read_bytes()
    return None


def newest_state(folder: Path) -> TrainingState | None:
    """Read the newest whole checkpoint; a damaged one is skipped with a log warning.

    Args:
        folder: The folder of the checkpoints; it may not exist.

    Returns:
        The state, or None where there is none.
    """
    for file in _files(folder):
        state = _read(file)
        if state is not None:
            return state
        _logger.warning("The checkpoint %s is damaged; the one before it is used.", file)
    return None


def remove_states(folder: Path) -> None:
    """Remove all checkpoints."""
    for file in _files(folder):
        file.unlink(missing_ok=True)


class CheckpointWriter(keras.callbacks.Callback):
    """Writes the state after each epoch, every few minutes within one, and when asked to stop.

    It comes after the callbacks whose state it writes.
    """

    def __init__(
        self,
        folder: Path,
        best: BestEpoch,
        resumed: TrainingState | None = None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        """Write into `folder`.

        Args:
            folder: The folder of the checkpoints.
            best: Keeps the weights of the best epoch.
            resumed: The state that the training resumes from.
            interval_s: Seconds between two checkpoints within an epoch; 0 writes after each step.
        """
        super().__init__()
        self._folder = folder
        self._best = best
        self._resumed = resumed
        self._interval_s = interval_s
        self._history = {k: list(v) for k, v in resumed.history.items()} if resumed else {}
        self._epoch = 0
        self._steps_before = 0
        self._saved_s = 0.0
        self._interrupted = False

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        """Write the initial state, unless the training resumes from a checkpoint."""
        self._saved_s = time.monotonic()
        if self._resumed is None and not self._history:
            self.model.optimizer.build(self.model.trainable_variables)
            self._save(0, 0)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Note the epoch, and the steps that were done of an interrupted one."""
        resumed = self._resumed
        self._epoch = epoch
        self._steps_before = resumed.step if resumed and resumed.epoch == epoch else 0

    def on_train_batch_end(
        self,
        batch: int,
        logs: Any = None,  # noqa: ARG002 - Keras names it
    ) -> None:
        """Write the state after each interval, and when the training is stopped."""
        if batch == 0 and self._steps_before and self._resumed is not None:
            # Keras makes the variables of its running sums in the first step.
            sums = self.model.metrics_variables
            for variable, before in zip(sums, self._resumed.metrics, strict=True):
                variable.assign_add(before)
        if batch + 1 == self.params["steps"]:
            return  # The epoch is whole; its state is written with its figures.
        self._interrupted = bool(self.model.stop_training)
        if self._interrupted or time.monotonic() - self._saved_s >= self._interval_s:
            self._save(self._epoch, self._steps_before + batch + 1)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the state; that of an interrupted epoch has been written already."""
        if self._interrupted:
            return
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(float(value))
        self._save(epoch + 1, 0)

    def _save(self, epoch: int, step: int) -> None:
        best = self._best
        state = capture(
            self.model, epoch, step, best.weights, best.best_epoch, best.score, self._history
        )
        save_state(self._folder, state)
        self._saved_s = time.monotonic()


def _variables(model: keras.Model) -> list[Any]:
    """List weights and dropout seeds, without the running means of metrics."""
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics]


def _remove_oldest(folder: Path) -> None:
    for old in _files(folder)[NUM_KEPT:]:
        old.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    """List the checkpoints, the newest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.name, reverse=True)


def _read(file: Path) -> TrainingState | None:
    """Read one checkpoint; None where it is not whole."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    body, stated = content[:-HASH_BYTES], content[-HASH_BYTES:]
    if hashlib.sha256(body).hexdigest().encode() != stated:
        return None
    facts = json.loads(_metadata(body)["state"])
    groups: dict[str, list[NDArray[Any]]] = {group: [] for group in _GROUPS}
    for name, tensor in sorted(safetensors.numpy.load(body).items()):
        groups[name.partition("/")[0]].append(tensor)
    accuracy, loss = (float(value) for value in facts["best_score"])
    return TrainingState(
        epoch=facts["epoch"],
        step=facts["step"],
        **groups,
        best_epoch=facts["best_epoch"],
        best_score=(accuracy, loss),
        history={name: [float(v) for v in values] for name, values in facts["history"].items()},
    )


def _metadata(body: bytes) -> dict[str, str]:
    """Read the metadata from a safetensors header, which its NumPy reader leaves out."""
    length = int.from_bytes(body[:8], "little")
    metadata: dict[str, str] = json.loads(body[8 : 8 + length])["__metadata__"]
    return metadata
