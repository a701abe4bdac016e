"""TensorBoard logs of a study: one run per trial, and the HParams view over all of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from imgclf.options import Value
from imgclf.tuning.candidates import Candidate
from imgclf.tuning.dimensions import Dimension
from imgclf.tuning.search import SearchCallbacks
from imgclf.tuning.space import Space
from imgclf.tuning.study import TENSORBOARD_FOLDER
from imgclf.tuning.trials import Trial

__all__ = ["TrialLogs"]

METRICS = {
    "accuracy": "mean accuracy on the validation images, in float32",
    "log_loss": "mean log loss on the validation images",
    "num_parameters": "parameters of the network",
    "fit_s": "seconds of training",
}
"""Metrics of a trial's end, with their descriptions."""

CURVE = "epoch_val_accuracy"
"""Metric of each epoch, in training precision."""


@dataclass(slots=True)
class TrialLogs:
    """Writes TensorBoard event files, one for each trial that has ended.

    Attributes:
        folder: The study's folder; the files are in its ``tensorboard/``.
        space: The search space: the columns of the HParams view.
        defaults: Candidates of the first trials, which may lie outside the space.
    """

    folder: Path
    space: Space
    defaults: Sequence[Candidate]
    _curves: dict[int, list[tuple[float, float]]] = field(default_factory=dict)

    def begin(self, trials: Iterable[Trial]) -> None:
        """Write the description of the search, and the trials that have no event file yet.

        Args:
            trials: All trials that have ended.
        """
        if not (self._root / "search").exists():
            self._write("search", [(0, time.time(), self._config())])
        for trial in trials:
            if not (self._root / _run_name(trial.number)).exists():
                self._write_trial(trial)

    def add_to(self, callbacks: SearchCallbacks) -> SearchCallbacks:
        """Return callbacks that write the logs and then call `callbacks`."""

        def on_epoch_end(number: int, epoch: int, val_accuracy: float) -> None:
            self._curves.setdefault(number, []).append((time.time(), val_accuracy))
            callbacks.on_epoch_end(number, epoch, val_accuracy)

        def on_trial_begin(number: int, candidate: Candidate) -> None:
            self._curves.pop(number, None)  # Of a lost worker that ran the same trial.
            callbacks.on_trial_begin(number, candidate)

        def on_trial_end(trial: Trial, trials: tuple[Trial, ...]) -> None:
            self._write_trial(trial)
            callbacks.on_trial_end(trial, trials)

        return replace(
            callbacks,
            on_trial_begin=on_trial_begin,
            on_epoch_end=on_epoch_end,
            on_trial_end=on_trial_end,
        )

    @property
    def _root(self) -> Path:
        return self.folder / TENSORBOARD_FOLDER

    def _write_trial(self, trial: Trial) -> None:
        """Write the run of a trial; a failed one has its values, but no metrics."""
        from tensorboard.plugins.hparams import api_pb2, summary, summary_v2
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        ended_s = time.time()
        began_s = ended_s - trial.duration_s
        name = _run_name(trial.number)
        values = _values(trial.candidate, self.space)
        begin = summary_v2.hparams_pb(values, trial_id=name, start_time_secs=began_s)
        steps = [(0, began_s, begin)]
        for number, (time_s, accuracy) in enumerate(self._curves.pop(trial.number, [])):
            steps.append((number + 1, time_s, scalar_pb(CURVE, accuracy)))
        done = trial.status == "completed"
        if done:
            figures = {
                "accuracy": trial.score,
                "log_loss": trial.log_loss,
                "num_parameters": float(trial.num_parameters),
                "fit_s": trial.fit_s,
            }
            last = trial.candidate.epochs
            steps += [(last, ended_s, scalar_pb(tag, value)) for tag, value in figures.items()]
        status = api_pb2.STATUS_SUCCESS if done else api_pb2.STATUS_FAILURE
        steps.append((0, ended_s, summary.session_end_pb(status, ended_s)))
        self._write(name, steps)

    def _write(self, run: str, steps: Sequence[tuple[int, float, Any]]) -> None:
        """Write a run's event file, which TensorBoard sees only once it is whole."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        partial = self._root / f".{run}"
        shutil.rmtree(partial, ignore_errors=True)  # Left by a killed search.
        writer = EventFileWriter(str(partial))
        for step, time_s, content in steps:
            # TensorBoard and TensorFlow each have their own class for the same message.
            message = Summary.FromString(content.SerializeToString())
            writer.add_event(Event(step=step, wall_time=time_s, summary=message))
        writer.close()
        partial.rename(self._root / run)

    def _config(self) -> Any:
        from tensorboard.plugins.hparams import summary_v2

        options = [
            summary_v2.HParam(name, self._domain(name)) for name in (*self.space.names, "epochs")
        ]
        metrics = [
            summary_v2.Metric(tag, display_name=tag, description=text)
            for tag, text in {**METRICS, CURVE: "of each epoch, in training precision"}.items()
        ]
        return summary_v2.hparams_config_pb(options, metrics)

    def _domain(self, name: str) -> Any:
        """Return the values of a column; the defaults too, or TensorBoard would filter them out."""
        from tensorboard.plugins.hparams.summary_v2 import Discrete, RealInterval

        if name == "epochs":
            return None
        own = [candidate.shown(name) for candidate in self.defaults]
        values = [value for value in own if value is not None]
        dimensions = [item for item in self.space.dimensions if item.name == name]
        if name == "architecture":
            values = list(self.space.architectures)
        if dimensions and not any(item.values for item in dimensions):
            ends = [*(end for item in dimensions for end in (item.low, item.high)), *values]
            return RealInterval(
                min(map(float, cast("list[float]", ends))),
                max(map(float, cast("list[float]", ends))),
            )
        values += [value for item in dimensions for value in _listed(item)]
        unique = list(dict.fromkeys(values))
        if len({type(value) for value in unique}) > 1:
            return None  # TensorBoard's columns hold one type only.
        return Discrete(unique)


def _listed(dimension: Dimension) -> tuple[Value, ...]:
    if dimension.name == "image_size":
        return tuple(map(str, dimension.values))
    return dimension.values


def _values(candidate: Candidate, space: Space) -> dict[str, Any]:
    """Return a candidate's searched values and its epochs."""
    pairs = {name: candidate.shown(name) for name in space.names}
    known = {name: value for name, value in pairs.items() if value is not None}
    return {**known, "epochs": candidate.epochs}


def _run_name(number: int) -> str:
    return f"{number:04}"
