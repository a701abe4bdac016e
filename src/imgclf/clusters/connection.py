"""The connection of this process to a Ray cluster, with a deadline for everything."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from logging import NullHandler
from typing import Any

from imgclf.clusters.address import ClusterAddress, parse_address
from imgclf.clusters.control_service import (
    ask_for_nodes,
    find_service,
    forget_token,
    require_service,
)
from imgclf.clusters.nodes import Node
from imgclf.clusters.tokens import TOKEN_VARIABLES, token_variables
from imgclf.errors import ArgumentError, ClusterError, in_one_line
from imgclf.machine.startup import silenced_stderr

__all__ = ["ANSWER_S", "Cluster", "connect", "require_ray"]

CONNECT_S = 45.0
"""How long connecting, or starting a local cluster, may take."""

ANSWER_S = 20.0
"""Silence of the control service after which the cluster counts as lost."""

GIVE_UP_S = 40.0
"""Silence after which this process disconnects by itself: after 60 s Ray would end it."""

POLL_S = 1.0
"""How often the control service is asked for its nodes."""

SHUTDOWN_S = 15.0
"""How long a disconnection may take; with a dead control service it takes 5 s."""

OF_LOCAL_CLUSTERS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""Set for the processes of a local cluster: Ray sends nobody what it is used for, and its workers
take turns with other programs as those without a cluster do."""


@dataclass(slots=True)
class Cluster:
    """A cluster that this process is connected to; `connect` makes it.

    Attributes:
        address: Where it is.
    """

    address: ClusterAddress
    _nodes: tuple[Node, ...] = ()
    _heard_s: float = 0.0
    _error: Exception | None = None
    _thread: threading.Thread | None = None
    _connected: threading.Event = field(default_factory=threading.Event)
    _ending: threading.Event = field(default_factory=threading.Event)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The living nodes, as the control service knew them a second ago."""
        return self._nodes

    def name_of(self, node_id: str) -> str:
        """Return the name of a node; its first digits where it is gone."""
        return next((node.name for node in self._nodes if node.node_id == node_id), node_id[:8])

    def require_answer(self) -> None:
        """Raise an error if the control service is silent; call it at least every few seconds.

        Ray's own calls wait without end for a control service that is gone.

        Raises:
            ClusterError: It has not answered for `ANSWER_S`.
        """
        if (silent_s := self._silent_s) > ANSWER_S:
            raise ClusterError(
                f"The control service of the cluster {self.address.text} has not answered for "
                f"{silent_s:.0f} s: see whether its first machine still runs (ray status there)."
            )

    def wait_for_answer(self) -> None:
        """Wait until the control service answers anew, before a call that would wait without end.

        Raises:
            ClusterError: As `require_answer`.
        """
        asked_s = time.monotonic()
        while self._heard_s <= asked_s:
            self.require_answer()
            time.sleep(POLL_S / 10)

    def start(self) -> None:
        """Connect, or start a local cluster.

        Raises:
            ClusterError: The cluster does not answer in time, or cannot be used.
        """
        self._thread = threading.Thread(target=self._live, name="imgclf-cluster", daemon=True)
        self._thread.start()
        if not self._connected.wait(CONNECT_S):
            raise ClusterError(
                f"The cluster {self.address.text} has not answered within {CONNECT_S:.0f} s: see "
                "whether ray status answers on its first machine."
            )
        if self._error is not None:
            raise _refusal(self.address, self._error) from self._error

    def close(self) -> None:
        """Disconnect; a local cluster ends."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(SHUTDOWN_S)

    def _live(self) -> None:
        """Connect, ask for the nodes until the end, and disconnect: all of it in one thread.

        Ray ties the processes of a local cluster to the thread that started them, and sets signal
        handlers in a main thread alone.
        """
        import ray

        try:
            with silenced_stderr(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what the next version will do
                ray.init(self.address.text, **_init_arguments(self.address))
            self._hear()
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error
        self._connected.set()
        while self._error is None and not self._ending.wait(POLL_S) and self._silent_s < GIVE_UP_S:
            self._hear()
        ray.shutdown()

    @property
    def _silent_s(self) -> float:
        return time.monotonic() - self._heard_s

    def _hear(self) -> None:
        nodes = ask_for_nodes()
        if nodes is not None:
            self._nodes, self._heard_s = nodes, time.monotonic()


@contextlib.contextmanager
def connect(address: str, *, allow_unauthenticated: bool = False) -> Iterator[Cluster]:
    """Connect this process to a cluster, or start one of this machine; `ray` works meanwhile.

    Environment variables and signal handlers are afterwards as they were before.

    Args:
        address: ``"HOST:PORT"``, ``"auto"`` or ``"local"``; see `parse_address`.
        allow_unauthenticated: Connect without a token.

    Yields:
        The cluster.

    Raises:
        ArgumentError: The address is not accepted, the extra is not installed, there is no token,
            or Ray is connected in this process already.
        ClusterError: The cluster cannot be reached in time, or refuses the token.
    """
    place = parse_address(address)
    ray = require_ray()
    if not place.is_local:
        place = find_service(place)
    variables = token_variables(place, allow_unauthenticated=allow_unauthenticated)
    if ray.is_initialized():
        raise ArgumentError("Ray is connected in this process already: call ray.shutdown() first.")
    cluster = Cluster(place)
    with _quiet_messages():
        try:
            with _variables(variables):
                forget_token()
                if not place.is_local:
                    require_service(place)
                cluster.start()
            _restore_handlers()
            yield cluster
        finally:
            cluster.close()
            forget_token()


def require_ray() -> Any:
    """Import Ray.

    Raises:
        ArgumentError: The extra is not installed.
    """
    hook = sys.excepthook
    try:
        with _variables({}):  # Its import sets one, and a hook for errors that nobody catches.
            import ray
    except ImportError as error:
        raise ArgumentError("A cluster needs Ray: pip install 'imgclf[ray]'.") from error
    finally:
        sys.excepthook = hook
    return ray


def _refusal(address: ClusterAddress, error: Exception) -> ClusterError:
    return ClusterError(
        f"The cluster {address.text} cannot be used ({in_one_line(error)[:300]}): this machine has "
        "to be one of its nodes, with the same versions of Python and Ray."
    )


def _init_arguments(address: ClusterAddress) -> dict[str, Any]:
    quiet = {"configure_logging": False, "log_to_driver": False}
    return {**quiet, "include_dashboard": False} if address.is_local else quiet


def _restore_handlers() -> None:
    """Let SIGTERM do what it did before: Ray's C++ code prints its stack first."""
    if threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGTERM)
        if handler is not None:  # One that is not Python's cannot be set again.
            signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set Ray's variables for a while; afterwards all are as they were before."""
    before = dict(os.environ)
    if values:
        for name in TOKEN_VARIABLES:
            os.environ.pop(name, None)
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        os.environ.update({**OF_LOCAL_CLUSTERS, **paths, **values})
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def _quiet_messages() -> Iterator[None]:
    """Keep Ray's news about workers and nodes from standard output, where results are printed.

    Its log goes where the user leads it; where that is nowhere, Python would print the warnings.
    """
    from ray._private import worker

    printing, log, nowhere = worker.print_to_stdstream, logging.getLogger("ray"), NullHandler()
    worker.print_to_stdstream = lambda *_arguments, **_keywords: None
    log.addHandler(nowhere)
    try:
        yield
    finally:
        worker.print_to_stdstream = printing
        log.removeHandler(nowhere)
