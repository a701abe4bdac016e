"""Working for a search on another machine, or in another process."""

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
"""How often the chief is told that this worker is there."""

POLL_S = 0.2
"""How often it looks for orders while a trial runs."""

RETRY_S = 1.0
"""How often a chief is looked for that is not there yet."""


def join_search(
    address: tuple[str, int],
    *,
    study_dir: Path | None = None,
    wait_s: float = 60.0,
    told: Callable[[str], None] = lambda _line: None,
) -> int:
    """Run trials for a chief until it says that the search is over.

    Args:
        address: Host and port of the chief.
        study_dir: Where the study's folder lies on this machine; None: where it lies on the
            chief's.
        wait_s: How long the chief may take to be there.
        told: Called with a line for a person at each event.

    Returns:
        How many trials were run.

    Raises:
        TuningError: The chief is not there, goes away without a word, or does not know this
            version; the study's folder or the images are not there.
    """
    connection = Connection(_connect(address, wait_s))
    try:
        with LocalWorkers(1) as pool:
            connection.send({"hello": {"imgclf": version("imgclf"), "protocol": PROTOCOL}})
            return _WorkerLoop(connection, pool, study_dir, told).work()
    except OSError as error:
        raise TuningError(
            f"The chief at {address[0]}:{address[1]} has gone ({error}): its trial here was given "
            "up. Start this worker again once the search goes on."
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
    told: Callable[[str], None]
    task: ReceivedTask | None = None
    num_run: int = 0

    def work(self) -> int:
        """Run orders until the end; returns their number."""
        alive_s = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            while True:
                if selector.select(0 if self.task else POLL_S):
                    for message in self._receive():
                        if "end" in message:
                            return self.num_run
                        self._obey(message)
                for _, event in self.pool.events(POLL_S if self.task else 0):
                    self._pass_on(event)
                if time.monotonic() - alive_s > ALIVE_S:
                    alive_s = time.monotonic()
                    self.connection.send({"alive": True})

    def _receive(self) -> list[dict[str, Any]]:
        try:
            return self.connection.receive()
        except ValueError as error:
            raise TuningError(f"What answers is no chief of a search ({error}).") from error

    def _obey(self, message: dict[str, Any]) -> None:
        if "refused" in message:
            raise TuningError(
                f"The chief has refused this worker, {message['refused']}: use the same version "
                "of imgclf on all machines."
            )
        if "welcome" in message:
            self.told("Joined the search; waiting for a trial")
        if "task" in message:
            self._begin(message["task"], message.get("digest"))

    def _begin(self, values: dict[str, Any], digest: str | None) -> None:
        study_dir = self.study_dir or Path(values["study_dir"])
        if study_digest(study_dir) != digest:
            raise TuningError(
                f"{study_dir} is another study than the chief's: say with --study-dir where that one "
                "lies on this machine."
            )
        self.task = ReceivedTask(values, study_dir)
        for folder in self.task.image_folders:
            if not Path(folder).exists():
                raise TuningError(
                    f"The images {folder} are not on this machine: workers find them in the same "
                    "place as the chief."
                )
        self.told(f"Running {Path(self.task.log).stem}")
        self.pool.run(0, self.task)

    def _pass_on(self, event: dict[str, Any]) -> None:
        if "lost" in event:  # The server process died, and another has taken its place.
            assert self.task is not None
            self.pool.run(0, self.task)
            return
        self.connection.send(event)
        if "ended" in event:
            self.task = None
            self.num_run += 1
