"""A remote worker: runs the tasks of a chief, on this or another machine."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from imgclf.errors import TuningError
from imgclf.tuning.local_workers import LocalWorkers
from imgclf.tuning.messages import PROTOCOL, Connection, ReceivedTask, study_digest

__all__ = ["join_search"]

ALIVE_S = 2.0
"""Interval of the messages that tell the chief that this worker is alive."""

POLL_S = 0.2
"""How long to wait for messages or events before looking again."""

RETRY_S = 1.0
"""Time between two attempts to connect to a chief that has not started yet."""


def join_search(
    address: tuple[str, int],
    *,
    study_dir: Path | None = None,
    wait_s: float = 60.0,
    on_message: Callable[[str], None] = lambda _line: None,
) -> int:
    """Run tasks for a chief until the search is over.

    Args:
        address: Host and port of the chief.
        study_dir: The study's folder on this machine; None: the same path as on the chief's.
        wait_s: How long to wait for the chief to start, in seconds.
        on_message: Called with a line of text for the user.

    Returns:
        Number of tasks that were run.

    Raises:
        TuningError: The chief cannot be reached, disconnects, or has another version of imgclf;
            or the study's folder or the images are not on this machine.
    """
    connection = Connection(_connect(address, wait_s))
    try:
        with LocalWorkers(1) as pool:
            connection.send({"hello": {"imgclf": version("imgclf"), "protocol": PROTOCOL}})
            return _WorkerLoop(connection, pool, study_dir, on_message).work()
    except OSError as error:
        raise TuningError(
            f"The connection to the chief at {address[0]}:{address[1]} is lost ({error}), and so "
            "is the trial that ran here: start this worker again once the search goes on."
        ) from error
    finally:
        connection.close()


def _connect(address: tuple[str, int], wait_s: float) -> socket.socket:
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            return socket.create_connection(address, timeout=10)
        except OSError as error:
            if time.monotonic() > deadline_s:
                raise TuningError(
                    f"There is no chief at {address[0]}:{address[1]} ({error}): start one with "
                    "imgclf tune ... --chief-address HOST:PORT."
                ) from error
        time.sleep(RETRY_S)


@dataclass(slots=True)
class _WorkerLoop:
    connection: Connection
    pool: LocalWorkers
    study_dir: Path | None
    on_message: Callable[[str], None]
    task: ReceivedTask | None = None
    num_run: int = 0

    def work(self) -> int:
        """Run tasks until the search is over; returns their number."""
        alive_s = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            while True:
                if selector.select(0 if self.task else POLL_S):
                    for message in self._receive():
                        if "end" in message:
                            return self.num_run
                        self._follow(message)
                for _, event in self.pool.events(POLL_S if self.task else 0):
                    self._forward(event)
                if time.monotonic() - alive_s > ALIVE_S:
                    alive_s = time.monotonic()
                    self.connection.send({"alive": True})

    def _receive(self) -> list[dict[str, Any]]:
        try:
            return self.connection.receive()
        except ValueError as error:
            raise TuningError(f"The address is not that of a search's chief ({error}).") from error

    def _follow(self, message: dict[str, Any]) -> None:
        if "refused" in message:
            raise TuningError(
                f"The chief refused this worker ({message['refused']}): use the same version "
                "of imgclf on all machines."
            )
        if "welcome" in message:
            self.on_message("Joined the search; waiting for a trial")
        if "task" in message:
            self._begin(message["task"], message.get("digest"))

    def _begin(self, values: dict[str, Any], digest: str | None) -> None:
        study_dir = self.study_dir or Path(values["study_dir"])
        if study_digest(study_dir) != digest:
            raise TuningError(
                f"{study_dir} is not the chief's study: give that study's path on this machine "
                "with --study-dir."
            )
        self.task = ReceivedTask(values, study_dir)
        for folder in self.task.image_folders:
            if not Path(folder).exists():
                raise TuningError(
                    f"The images {folder} are not on this machine: put them at the same path as "
                    "on the chief's."
                )
        self.on_message(f"Running {Path(self.task.log).stem}")
        self.pool.run(0, self.task)

    def _forward(self, event: dict[str, Any]) -> None:
        if "lost" in event:  # The server process died and was replaced.
            assert self.task is not None
            self.pool.run(0, self.task)
            return
        self.connection.send(event)
        if "ended" in event:
            self.task = None
            self.num_run += 1
