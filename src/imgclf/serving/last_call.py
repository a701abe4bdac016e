"""A signal to stop: what is on its way is still answered before connections are closed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import FrameType

from starlette.applications import Starlette

from imgclf.serving.service import Service

__all__ = ["LastCall"]

LAST_CALL_S = 0.5
"""Seconds in which requests are still taken after a signal to stop."""
PARENT_POLL_S = 0.5


@dataclass(frozen=True)
class LastCall:
    """The life of an application in a server's process, as Starlette's `lifespan`.

    uvicorn closes idle connections as soon as a signal comes, and requests that clients have just
    sent on them are lost. Here every answer closes its connection for a moment first.

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
    """Hand signals to uvicorn a moment later; a second one at once."""
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        handler = handlers[signal.Signals(number)]
        assert callable(handler), "uvicorn's"
        if service.stopping:
            handler(number, frame)
            return
        service.stopping = True
        loop.call_soon_threadsafe(loop.call_later, LAST_CALL_S, handler, number, frame)

    for number in handlers:
        signal.signal(number, stop)


async def _end_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(PARENT_POLL_S)
    signal.raise_signal(signal.SIGTERM)
