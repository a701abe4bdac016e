"""A signal to stop: what is on its way is still answered before connections are closed."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette

from imgclf.serving.service import Service

__all__ = ["LastCall"]

LAST_CALL_S = 0.5
"""Seconds in which requests are still taken after a signal to stop."""
LAST_REQUESTS_S = 0.3
"""Seconds in which connections that were just made may send their request."""
PARENT_POLL_S = 0.5
SO_ATTACH_FILTER = 26
"""Linux' number, for which `socket` has no name."""

Handler = Callable[[int, FrameType | None], Any]

_tasks: set[asyncio.Task[Any]] = set()
"""Those that nothing else holds."""


@dataclass(frozen=True)
class LastCall:
    """The life of an application in a server's process, as Starlette's `lifespan`.

    uvicorn closes idle connections as soon as a signal comes, and the system those that wait to be
    accepted: requests that clients have just sent on them are lost. Here every answer closes its
    connection for a moment first; then waiting connections are accepted, and no others.

    Attributes:
        ends_with_parent: Whether the process ends when its parent does, however that ended.
    """

    ends_with_parent: bool

    @contextlib.asynccontextmanager
    async def __call__(self, app: Starlette) -> AsyncIterator[None]:
        """Watch for signals, and for the parent's end, from now on."""
        _delay_signals(app.state.service)
        watch = asyncio.create_task(_end_with_parent()) if self.ends_with_parent else None
        yield
        if watch is not None:
            watch.cancel()


def _delay_signals(service: Service) -> None:
    """Hand the first signal to uvicorn a moment later, and the same one again at once."""
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        handler = handlers[signal.Signals(number)]
        assert callable(handler), "uvicorn's"
        if number in received:
            handler(number, frame)
        elif not received:  # A supervisor may send another one than the terminal did.
            service.stopping = True
            loop.call_soon_threadsafe(start_last_call, handler, number, frame)
        received.append(number)

    def start_last_call(handler: Handler, *signalled: Any) -> None:
        # The handler is a method of the server that runs here, in worker processes, too.
        server: Any = getattr(handler, "__self__", None)
        task = loop.create_task(_call(server, lambda: handler(*signalled)))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)

    for number in handlers:
        signal.signal(number, stop)


async def _call(server: uvicorn.Server, stop: Callable[[], object]) -> None:
    await asyncio.sleep(LAST_CALL_S)
    await asyncio.gather(*_stop_listening(server))
    await asyncio.sleep(LAST_REQUESTS_S)
    stop()


def _stop_listening(server: uvicorn.Server) -> list[Coroutine[Any, Any, Any]]:
    """Take the connections that are made already, and refuse others from this moment on."""
    loop, config = asyncio.get_running_loop(), server.config

    def protocol() -> asyncio.Protocol:
        make: Any = config.http_protocol_class  # Typed as any protocol; it is uvicorn's own.
        made: asyncio.Protocol = make(
            config=config,
            server_state=server.server_state,
            app_state=server.lifespan.state,
            _loop=loop,
        )
        return made

    accepted = []
    for listening in server.servers:
        for transport_socket in listening.sockets:
            with socket.socket(fileno=os.dup(transport_socket.fileno())) as listener:
                _ignore_newcomers(listener)
                listener.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        connection, _ = listener.accept()
                        connection.setblocking(False)
                        accepted.append(loop.connect_accepted_socket(protocol, connection))
        listening.close()
    return accepted


def _ignore_newcomers(listener: socket.socket) -> None:
    """Let the system drop new connections before they are made: their clients try again, in vain.

    Otherwise one that is made after the last `accept` would be reset, and its request lost.
    """
    if not sys.platform.startswith("linux"):
        return
    # A filter for packets of one instruction, "return 0 bytes"; see socket(7), SO_ATTACH_FILTER.
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(instruction))
    with contextlib.suppress(OSError):  # A sandbox may forbid it.
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


async def _end_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(PARENT_POLL_S)
    signal.raise_signal(signal.SIGTERM)
