"""The messages between a search's chief and its remote workers: lines of JSON, never pickles."""

from __future__ import annotations

import hashlib
import json
import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import ArgumentError, TuningError
from imgclf.tuning.candidates import Candidate
from imgclf.tuning.study import STUDY_FILE
from imgclf.tuning.tasks import RefitTask, TrialTask, WorkerTask
from imgclf.tuning.trial_settings import TrialSettings

__all__ = [
    "PROTOCOL",
    "Connection",
    "ReceivedTask",
    "read_event",
    "read_task",
    "study_digest",
    "write_task",
]

PROTOCOL = 2
"""Version of the messages; raised with every change of them."""

MAX_LINE_BYTES = 1 << 20
"""Longest message. A task takes some kilobytes; a longer line does not come from imgclf."""

KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""TCP keepalive: idle time and interval in seconds, and probes until the connection is lost."""

TASK_KINDS: dict[str, type[WorkerTask]] = {"trial": TrialTask, "refit": RefitTask}
"""The kinds of tasks, by their name in a message."""


@dataclass(slots=True)
class Connection:
    """A socket that carries one JSON object per line.

    Attributes:
        sock: The connected socket.
    """

    sock: socket.socket
    _rest: bytes = b""

    def __post_init__(self) -> None:
        """Turn on TCP keepalive, so that a vanished machine is noticed."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):  # Not every system has each of them.
                self.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def fileno(self) -> int:
        """Return the file descriptor, for `selectors`."""
        return self.sock.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message.

        Raises:
            OSError: The connection is lost.
        """
        self.sock.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]]:
        """Read from the socket once; return the messages that are complete.

        Raises:
            ConnectionError: The connection is closed.
            ValueError: What came is not a message.
        """
        content = self.sock.recv(65536)
        if not content:
            raise ConnectionResetError("the connection was closed")
        *lines, self._rest = (self._rest + content).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise ValueError(f"a line of more than {MAX_LINE_BYTES} bytes")
        try:
            messages = [json.loads(line) for line in lines]
        except RecursionError as error:
            raise ValueError("a line nested too deeply") from error
        if not all(isinstance(message, dict) for message in messages):
            raise ValueError("a line that is not a JSON object")
        return messages

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()


def study_digest(folder: Path) -> str:
    """Return the SHA-256 of a study's description: equal where two machines share the study.

    Raises:
        TuningError: There is no study in the folder.
    """
    try:
        return hashlib.sha256((folder / STUDY_FILE).read_bytes()).hexdigest()
    except OSError as error:
        raise TuningError(
            f"The study {folder} cannot be read here ({error.strerror}): a worker needs access to "
            "the chief's study folder; give its path on this machine with --study-dir."
        ) from error


def write_task(task: WorkerTask) -> dict[str, Any]:
    """Return a task as plain values; paths in the study folder are relative to it.

    Raises:
        ArgumentError: Its images are plain datasets, which cannot leave their process.
    """
    from imgclf.data.batches.plan import Plan  # heavy, as all below

    if not isinstance(task.plan, Plan):
        raise ArgumentError(
            "Workers on other machines need what imgclf.make_generators returned: a plain "
            "tf.data.Dataset cannot leave its process."
        )
    study_dir = task.study_dir
    kind = next(name for name, cls in TASK_KINDS.items() if isinstance(task, cls))
    values: dict[str, Any] = {"kind": kind, "study_dir": str(study_dir), **asdict(task)}
    values["settings"] = task.settings.as_dict()
    for name in ("bundle", "log"):
        values[name] = _relative(values[name], study_dir)
    values["plan"]["split_file"] = _relative(task.plan.split_file, study_dir)
    return values


def read_task(values: dict[str, Any], study_dir: Path) -> WorkerTask:
    """Read what `write_task` wrote.

    Args:
        values: The task.
        study_dir: The study's folder on this machine.

    Returns:
        The task.

    Raises:
        TuningError: The values are not a task.
    """
    from imgclf.data.batches.augmentation import Augmentation
    from imgclf.data.batches.plan import Plan

    try:
        plan = dict(values["plan"])
        policy = dict(plan["policy"])
        for name in ("image_size", "background"):
            policy[name] = tuple(policy[name])
        split_file = plan["split_file"]
        plan = {
            **plan,
            "policy": InputPolicy(**policy),
            "augmentation": Augmentation(**plan["augmentation"]),
            "split_file": split_file and str(study_dir / split_file),
        }
        kind = TASK_KINDS[values["kind"]]
        own = {item.name: values[item.name] for item in fields(kind)}
        own |= {
            "plan": Plan(**plan),
            "candidate": Candidate(**values["candidate"]),
            "settings": TrialSettings.from_dict(values["settings"]),
            "bundle": values["bundle"] and str(study_dir / values["bundle"]),
            "log": str(study_dir / values["log"]),
        }
        return kind(**own)
    except (KeyError, TypeError, ValueError) as error:
        raise TuningError(
            f"The chief's task cannot be read ({type(error).__name__}: {error}): use the same "
            "version of imgclf on all machines."
        ) from error


@dataclass(frozen=True, slots=True)
class ReceivedTask:
    """A task as it came over the network.

    Only the process that runs it, which has imported Keras, turns it into a `WorkerTask`.

    Attributes:
        values: What `write_task` wrote.
        study_dir: The study's folder on this machine.
    """

    values: dict[str, Any]
    study_dir: Path

    @property
    def log(self) -> str:
        """Path of the file for what the process prints."""
        return str(self.study_dir / str(self.values.get("log")))

    @property
    def image_folders(self) -> list[str]:
        """Folders of the images.

        Raises:
            TuningError: The values are not a task.
        """
        try:
            names = [self.values["plan"][f"{split}_dir"] for split in ("train", "val", "test")]
        except (KeyError, TypeError) as error:
            raise TuningError("The chief's task cannot be read: it names no images.") from error
        return [str(name) for name in names if name is not None]


def _relative(path: str | None, study: Path) -> str | None:
    """Return a path relative to the study folder; paths outside of it stay as they are."""
    if path and Path(path).is_relative_to(study):
        return str(Path(path).relative_to(study))
    return path


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _TrialResult(_StrictModel):
    accuracies: list[float] = Field(min_length=1)
    log_loss: float
    fit_s: float
    num_correct: int
    num_images: int
    num_parameters: int
    best_epoch: int | None


class _EventMessage(_StrictModel):
    alive: bool | None = None
    epoch: int | None = None
    val_accuracy: float | None = None
    result: _TrialResult | None = None
    refused: str | None = None
    error: str | None = None
    message: str | None = None
    accuracy: float | None = None
    ended: int | None = None


def read_event(message: dict[str, Any]) -> dict[str, Any]:
    """Check a worker's message about its trial.

    Args:
        message: The decoded message.

    Returns:
        The event, with only the fields that were sent.

    Raises:
        ValueError: A field is unknown, missing or of the wrong type.
    """
    try:
        event = _EventMessage.model_validate(message).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise ValueError(f"{error.error_count()} invalid field(s) in an event") from error
    if ("epoch" in event) != ("val_accuracy" in event) or ("error" in event) != (
        "message" in event
    ):
        raise ValueError("an event with a field missing")
    return event
