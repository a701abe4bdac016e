"""The life of a server: it starts, answers, and ends when it has answered."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors.multiprocess import SIGNALS, Multiprocess

from imgclf.engines.engine_names import EngineName
from imgclf.errors import ImgclfError, ServingError
from imgclf.serving.connection import TimedConnection
from imgclf.serving.last_call import LastCall
from imgclf.serving.limits import Limits
from imgclf.serving.loading import Loading
from imgclf.serving.log import write_log
from imgclf.serving.observation import json_line, text_line
from imgclf.serving.served_classifiers import ServedClassifiers
from imgclf.serving.server_application import application

__all__ = ["ServerSettings", "run_server"]

DRAIN_TIMEOUT_S = 60
"""Seconds after which requests that are not answered yet are given up."""
MAX_HEADER_BYTES = 32 * 1024

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What a server is started with.

    Attributes:
        files: Classifiers' files by name.
        limits: What it takes at the most.
        host_names: Names under which it may be addressed.
        token: What requests must carry; None for nothing.
        collect_dir: Folder for images that a user marks as wrong; None keeps nothing.
        workers: Processes.
        log_json: Whether the log is JSON.
        loading: Loads the classifiers, where that has begun already; None loads them in each
            process.
        engine: What answers.
    """

    files: dict[str, Path]
    limits: Limits = field(default_factory=Limits)
    host_names: frozenset[str] = frozenset()
    token: str | None = field(default=None, repr=False)
    collect_dir: Path | None = None
    workers: int = 1
    log_json: bool = False
    loading: Loading | None = field(default=None, repr=False)
    engine: EngineName = "auto"

    def __call__(self) -> Starlette:
        """Make the application, in the process that is going to answer."""
        write_log(as_json=self.log_json)
        try:
            app = application(
                dict(self.files) if self.loading is None else _loaded(self.loading),
                limits=self.limits,
                host_names=self.host_names,
                token=self.token,
                collect_dir=self.collect_dir,
                request_line=json_line if self.log_json else text_line,
                engine=self.engine,
            )
        except ImgclfError as error:
            if self.workers == 1:
                raise
            _logger.error("%s", error)  # noqa: TRY400 - the message says it all
            sys.exit(1)  # Tried again, should the file have been good before.
        app.router.lifespan_context = LastCall(ends_with_parent=self.workers > 1)
        return app


def _loaded(loading: Loading) -> ServedClassifiers:
    return ServedClassifiers(loading.result())


def run_server(
    settings: ServerSettings, listener: socket.socket, on_ready: Callable[[int], None]
) -> None:
    """Answer requests until a signal says to stop; those that came before are answered then.

    Signals do what they did before when all is answered.

    Args:
        settings: What it is started with.
        listener: What `imgclf.serving.listener.bind` returned.
        on_ready: Is told the number of a process that answers, when all do.

    Raises:
        ServingError: Worker processes do not start.
        BundleError: A classifier cannot be used.
    """
    config = uvicorn.Config(
        settings,
        factory=True,
        loop="asyncio",
        http=TimedConnection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        workers=settings.workers,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
    )
    if settings.workers == 1:
        _Server(config, on_ready).run([listener])
        return
    with tempfile.TemporaryDirectory(prefix="imgclf-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # Read by the workers.
        # They import nothing of the current folder.
        before = os.environ.get("PYTHONSAFEPATH")
        os.environ["PYTHONSAFEPATH"] = "1"
        try:
            _Supervisor(config, listener, on_ready).run()
        finally:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]
            if before is None:
                del os.environ["PYTHONSAFEPATH"]


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready(os.getpid())


class _Supervisor(Multiprocess):
    """Starts worker processes, and others for those that die."""

    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, on_ready: Callable[[int], None]
    ) -> None:
        self._handlers = {number: signal.getsignal(number) for number in SIGNALS}
        self._stopped_by: int | None = None
        self._on_ready = on_ready
        super().__init__(config, [listener])

    def run(self) -> None:
        try:
            super().run()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        if self._stopped_by is not None:
            signal.raise_signal(self._stopped_by)

    def init_processes(self) -> None:
        super().init_processes()
        for process in self.processes:
            while not self.should_exit.is_set() and not process.is_ready(timeout=0.5):
                self.handle_signals()
                if not process.process.is_alive():
                    self._give_up()
        pid = self.processes[0].pid
        if not self.should_exit.is_set() and pid is not None:
            self._on_ready(pid)

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()  # Or the system would go on taking connections that nobody answers.
        super().terminate_all()

    def handle_int(self) -> None:
        self._stopped_by = signal.SIGINT
        super().handle_int()

    def handle_term(self) -> None:
        self._stopped_by = signal.SIGTERM
        super().handle_term()

    def _give_up(self) -> None:
        self.terminate_all()
        self.join_all()
        raise ServingError("A worker process cannot start: its message stands above.")
