"""The chief of a search: it gives tasks to remote workers over the network."""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from imgclf.errors import TuningError
from imgclf.tuning.messages import PROTOCOL, Connection, read_event, study_digest, write_task
from imgclf.tuning.study import ATTEMPT_PREFIX
from imgclf.tuning.tasks import WorkerTask

__all__ = ["WORKER_WAIT_S", "Chief"]

SILENCE_S = 30.0
"""Time without a message after which a worker counts as lost; one sends a sign every 2 s."""

WORKER_WAIT_S = 600.0
"""How long a search without local workers waits for a remote one."""

SHARED_FOLDER_S = 20.0
"""How long a file written on another machine may take to appear here (NFS)."""


@dataclass(slots=True, eq=False)
class _RemoteWorker:
    """A connected worker.

    Attributes:
        connection: The connection to it.
        heard_s: When its last message came.
        greeted: Whether it has proved to be a worker of this version.
        job: Number of the task that it runs; None while it is idle.
        task: The task that it runs.
        attempt: File to which it saves the classifier, until the task has ended well.
    """

    connection: Connection
    heard_s: float
    greeted: bool = False
    job: int | None = None
    task: WorkerTask | None = None
    attempt: Path | None = None


@dataclass(slots=True)
class Chief:
    """A pool of workers that join over the network; each runs one task at a time.

    Use it as a context manager; leaving it dismisses all workers.

    Attributes:
        host: Host to listen on.
        port: Port to listen on; 0 takes a free one, and is replaced by it on entering.
        patience_s: How long to wait while there is no worker; None waits for ever.
        silence_s: Time without a message after which a worker counts as lost.
    """

    host: str
    port: int
    patience_s: float | None = None
    silence_s: float = SILENCE_S
    _remotes: list[_RemoteWorker] = field(default_factory=list)
    _lost: deque[int] = field(default_factory=deque)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _listener: socket.socket | None = None
    _alone_since_s: float = field(default_factory=time.monotonic)

    def __enter__(self) -> Chief:
        """Start listening."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            self._listener = socket.create_server((self.host, self.port), family=family)
        except OSError as error:
            raise TuningError(
                f"Cannot listen on {self.host}:{self.port} ({error.strerror}): give another "
                "address; port 0 takes a free one."
            ) from error
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        return self

    def __exit__(self, *_exception: object) -> None:
        """Dismiss all workers."""
        for remote in self._remotes:
            with contextlib.suppress(OSError):
                remote.connection.send({"end": True})
            self._forget(remote)
        self._remotes.clear()
        assert self._listener is not None
        self._listener.close()
        self._selector.close()

    @property
    def num_idle(self) -> int:
        """Number of workers without a task."""
        return sum(remote.greeted and remote.job is None for remote in self._remotes)

    def run(self, job: int, task: WorkerTask) -> None:
        """Give a task to an idle worker; see `imgclf.tuning.pool.WorkerPool`."""
        remote = next(item for item in self._remotes if item.greeted and item.job is None)
        remote.job, remote.task, remote.attempt = job, task, None
        if task.bundle:
            # A lost worker may still be writing its file when another one runs the same task.
            final = Path(task.bundle)
            remote.attempt = final.with_name(f"{ATTEMPT_PREFIX}{secrets.token_hex(4)}-{final.name}")
            task = replace(task, bundle=str(remote.attempt))
        message = {"task": write_task(task), "digest": study_digest(task.study_dir)}
        try:
            remote.connection.send(message)
        except OSError:
            self._drop(remote)

    def events(self, timeout_s: float) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the workers' events; see `imgclf.tuning.pool.WorkerPool`.

        Raises:
            TuningError: There has been no worker for `patience_s`.
        """
        for key, _ in self._selector.select(timeout_s):
            if key.data is None:
                self._accept()
                continue
            yield from self._listen(key.data)
        now_s = time.monotonic()
        for remote in list(self._remotes):
            if now_s - remote.heard_s > self.silence_s:
                self._drop(remote)
        while self._lost:
            yield self._lost.popleft(), {"lost": True}
        self._require_worker(now_s)

    def _require_worker(self, now_s: float) -> None:
        if self._remotes:
            self._alone_since_s = now_s
        elif self.patience_s is not None and now_s - self._alone_since_s > self.patience_s:
            raise TuningError(
                f"There was no worker for {self.patience_s / 60:.0f} minutes: start one with "
                f"imgclf tune-worker --chief {self.host}:{self.port}, and continue with --resume "
                "(resume=True); finished trials are kept."
            )

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except OSError:  # The client closed the connection before it was accepted.
            return
        sock.settimeout(self.silence_s)  # A worker that does not read must not block the search.
        remote = _RemoteWorker(Connection(sock), time.monotonic())
        self._remotes.append(remote)
        self._selector.register(sock, selectors.EVENT_READ, remote)

    def _listen(self, remote: _RemoteWorker) -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            messages = remote.connection.receive()
            for message in messages:
                remote.heard_s = time.monotonic()
                if not remote.greeted:
                    self._greet(remote, message)
                    continue
                event = read_event(message)
                if remote.job is not None and "alive" not in event:
                    yield from self._handle(remote, remote.job, event)
        except (OSError, ValueError):
            self._drop(remote)

    def _greet(self, remote: _RemoteWorker, message: dict[str, Any]) -> None:
        own = {"imgclf": version("imgclf"), "protocol": PROTOCOL}
        if message.get("hello") != own:
            remote.connection.send({"refused": f"the chief has {own}"})
            raise ValueError("another version")
        remote.greeted = True
        remote.connection.send({"welcome": True})

    def _handle(
        self, remote: _RemoteWorker, job: int, event: dict[str, Any]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        if "refused" in event or "error" in event:
            remote.attempt = None
        if "ended" in event:
            attempt, task = remote.attempt, remote.task
            remote.job = remote.task = remote.attempt = None
            if attempt is not None and task is not None and event["ended"] == 0:
                yield from self._take_bundle(job, attempt, Path(task.bundle))
        yield job, event

    def _take_bundle(
        self, job: int, attempt: Path, final: Path
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Rename the classifier's file of a task that has ended well to its final name."""
        deadline_s = time.monotonic() + SHARED_FOLDER_S
        while not attempt.exists() and time.monotonic() < deadline_s:
            if attempt.name in os.listdir(attempt.parent):  # noqa: PTH208 - asks the server anew
                break
            time.sleep(0.2)
        with contextlib.suppress(FileNotFoundError):
            attempt.replace(final)
            return
        yield (
            job,
            {
                "error": "StudyError",
                "message": f"{attempt.name} is not in the study: does the worker share it?",
            },
        )

    def _drop(self, remote: _RemoteWorker) -> None:
        """Disconnect a lost worker, and report its task as lost."""
        if remote not in self._remotes:
            return
        self._remotes.remove(remote)
        if remote.job is not None:
            self._lost.append(remote.job)
        self._forget(remote)

    def _forget(self, remote: _RemoteWorker) -> None:
        self._selector.unregister(remote.connection.sock)
        remote.connection.close()
        if remote.attempt is not None:
            remote.attempt.unlink(missing_ok=True)
