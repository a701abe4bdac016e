"""What chief and workers of a search say to each other: lines of JSON, never pickles."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import ArgumentError, TuningError
from imgclf.tuning.study import STUDY_FILE
from imgclf.tuning.trial_settings import RefitOrder, TrialOrder, TrialSettings
from imgclf.tuning.trials import Candidate

__all__ = [
    "PROTOCOL",
    "Connection",
    "ReceivedOrder",
    "read_event",
    "read_order",
    "study_mark",
    "write_order",
]

PROTOCOL = 1
"""Raised with every change of the messages."""

MAX_LINE_BYTES = 1 << 20
"""An order takes some kilobytes; whoever sends a longer line is no part of a search."""

KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds, seconds and attempts after which the other machine counts as gone."""


@dataclass(slots=True)
class Connection:
    """A socket on which each message is a line of JSON.

    Attributes:
        sock: The connected socket.
    """

    sock: socket.socket
    _rest: bytes = b""

    def __post_init__(self) -> None:
        """Let the system notice a machine that has vanished without a word."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):  # Not every system has each of them.
                self.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def fileno(self) -> int:
        """Return the descriptor, for `selectors`."""
        return self.sock.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message.

        Raises:
            OSError: The other side has gone.
        """
        self.sock.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]]:
        """Read once, and return the messages that are complete.

        Raises:
            ConnectionError: The other side has gone.
            ValueError: What it says is not a message.
        """
        content = self.sock.recv(65536)
        if not content:
            raise ConnectionResetError("the connection was closed")
        *lines, self._rest = (self._rest + content).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise ValueError("a line without end")
        try:
            messages = [json.loads(line) for line in lines]
        except RecursionError as error:
            raise ValueError("a line nested too deeply") from error
        if not all(isinstance(message, dict) for message in messages):
            raise ValueError("a line that is no message")
        return messages

    def close(self) -> None:
        """End the connection."""
        self.sock.close()


def study_mark(folder: Path) -> str:
    """Return what only the same study has, so that two machines know that they share it.

    Raises:
        TuningError: There is no study in the folder.
    """
    try:
        return hashlib.sha256((folder / STUDY_FILE).read_bytes()).hexdigest()
    except OSError as error:
        raise TuningError(
            f"The study {folder} cannot be read here ({error.strerror}): a worker shares the "
            "chief's study folder; say with --study-dir where it lies on this machine."
        ) from error


def write_order(order: TrialOrder | RefitOrder) -> dict[str, Any]:
    """Write an order as plain values; paths in the study are relative to it.

    Raises:
        ArgumentError: Its images are plain datasets, which cannot leave their process.
    """
    from imgclf.data.batches.plan import Plan  # heavy, as all below

    if not isinstance(order.plan, Plan):
        raise ArgumentError(
            "Workers on other machines need what imgclf.make_generators returned: a plain "
            "tf.data.Dataset cannot leave its process."
        )
    study = order.study_dir
    values: dict[str, Any] = {
        "kind": "trial" if isinstance(order, TrialOrder) else "refit",
        "study": str(study),
        **asdict(order),
    }
    for name in ("bundle", "log"):
        values[name] = _relative(values[name], study)
    values["plan"]["split_file"] = _relative(order.plan.split_file, study)
    return values


def read_order(values: dict[str, Any], study: Path) -> TrialOrder | RefitOrder:
    """Read what `write_order` wrote.

    Args:
        values: The order.
        study: Where the study lies on this machine.

    Returns:
        The order.

    Raises:
        TuningError: It cannot be understood.
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
            "split_file": split_file and str(study / split_file),
        }
        kinds: dict[str, type[TrialOrder | RefitOrder]] = {
            "trial": TrialOrder,
            "refit": RefitOrder,
        }
        kind = kinds[values["kind"]]
        own = {item.name: values[item.name] for item in fields(kind)}
        own |= {
            "plan": Plan(**plan),
            "candidate": Candidate(**values["candidate"]),
            "settings": TrialSettings(**values["settings"]),
            "bundle": values["bundle"] and str(study / values["bundle"]),
            "log": str(study / values["log"]),
        }
        return kind(**own)
    except (KeyError, TypeError, ValueError) as error:
        raise TuningError(
            f"The chief's order cannot be understood ({type(error).__name__}: {error}): use the "
            "same version of imgclf on all machines."
        ) from error


@dataclass(frozen=True, slots=True)
class ReceivedOrder:
    """An order as it has come; only the trial's own process, which has Keras, makes more of it.

    Attributes:
        values: What `write_order` wrote.
        study: Where the study lies on this machine.
    """

    values: dict[str, Any]
    study: Path

    @property
    def log(self) -> str:
        """The file for what the process prints."""
        return str(self.study / str(self.values.get("log")))

    @property
    def folders(self) -> list[str]:
        """Folders of the images.

        Raises:
            TuningError: It cannot be understood.
        """
        try:
            names = [self.values["plan"][f"{split}_dir"] for split in ("train", "val", "test")]
        except (KeyError, TypeError) as error:
            raise TuningError("The chief's order cannot be understood.") from error
        return [str(name) for name in names if name is not None]

    def run(self, report: Callable[[dict[str, Any]], None]) -> None:
        """Run the trial, or the refit, in this process."""
        read_order(self.values, self.study).run(report)


def _relative(path: str | None, study: Path) -> str | None:
    """Return a path relative to the study; one that lies elsewhere is the same everywhere."""
    if path and Path(path).is_relative_to(study):
        return str(Path(path).relative_to(study))
    return path


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Result(_Strict):
    accuracies: list[float] = Field(min_length=1)
    log_loss: float
    fit_s: float
    num_correct: int
    num_images: int
    num_parameters: int
    best_epoch: int | None


class _Event(_Strict):
    alive: bool | None = None
    epoch: int | None = None
    val_accuracy: float | None = None
    result: _Result | None = None
    refused: str | None = None
    error: str | None = None
    message: str | None = None
    accuracy: float | None = None
    ended: int | None = None


def read_event(message: dict[str, Any]) -> dict[str, Any]:
    """Check what a worker says of its trial.

    Returns:
        The event.

    Raises:
        ValueError: It is none.
    """
    try:
        event = _Event.model_validate(message).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise ValueError(f"{error.error_count()} unexpected part(s) in an event") from error
    if ("epoch" in event) != ("val_accuracy" in event) or ("error" in event) != (
        "message" in event
    ):
        raise ValueError("half of an event")
    return event
