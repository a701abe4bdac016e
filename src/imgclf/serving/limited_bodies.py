"""The bytes of requests, as their readers get them: no more, and no longer, than agreed."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgclf.serving.limits import Limits
from imgclf.serving.problems import Problem
from imgclf.serving.service import Service
from imgclf.serving.turns import WITHOUT_BODY, busy

__all__ = ["LimitedBodies"]

DISCARDED_FOR_S = 2.0
"""Seconds that a refused body is read on: some clients send all of it before they read."""
ANSWER_TIMEOUT_S = 30.0
"""Seconds that a client may take to receive an answer."""


class LimitedBodies:
    """Lets what stands behind read bodies within limits, and closes what is not read to its end.

    Args:
        app: What stands behind.
        service: Its limits count.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._buffer = _Buffer(service.limits.max_buffered_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, self._service.limits, self._buffer)
        answer = _Answer(send, body, self._service)
        if scope["method"] in WITHOUT_BODY:
            await self._app(scope, receive, answer.send)
            return
        try:
            body.refuse_by_headers()
        except Problem as problem:
            await problem.response()(scope, body.receive, answer.send)
            return
        self._buffer.announce(body)
        try:
            await self._app(scope, body.receive, answer.send)
        finally:
            body.release()


class _Buffer:
    """The bytes of all bodies that are in memory; a client waits where there is no room.

    The oldest of those that are still coming never waits, so that one of them always goes on: at
    most one body more than agreed is in memory.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._coming: dict[_Body, None] = {}  # in their order
        self._changed = asyncio.Event()

    def announce(self, body: _Body) -> None:
        self._coming[body] = None

    async def take(self, body: _Body, count: int) -> None:
        while self._used + count > self._most and next(iter(self._coming)) is not body:
            await self._changed.wait()
        self._used += count

    def complete(self, body: _Body) -> None:
        self._coming.pop(body, None)
        self._wake()

    def give_back(self, body: _Body, count: int) -> None:
        self._used -= count
        self.complete(body)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class _Body:
    """The body of a request, as its reader gets it: no more bytes and no longer than agreed."""

    def __init__(self, scope: Scope, receive: Receive, limits: Limits, buffer: _Buffer) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self._limits = limits
        self._buffer = buffer
        self._deadline = asyncio.get_running_loop().time() + limits.body_timeout_s
        self._stated = headers.get("content-length", "")
        self._encoding = headers.get("content-encoding", "").strip().lower()
        self._held = 0
        has_body = "transfer-encoding" in headers or self._stated not in ("", "0")
        self.is_complete = not has_body
        self.is_wanted = headers.get("expect", "").lower() != "100-continue"
        """Whether the client sends it unasked."""

    def refuse_by_headers(self) -> None:
        """Refuse a body that is too large or packed, before any of it is read."""
        if self._stated.isdigit() and int(self._stated[:20]) > self._limits.max_bytes:
            raise self._too_large(f"a request of {int(self._stated[:20]):,} bytes")
        if self._encoding not in ("", "identity"):
            raise Problem(
                "media_type_not_accepted",
                given=f"content encoding {self._encoding!r}",
                accepted="a body that is not packed",
                remedy="leave the header Content-Encoding out; images are packed already",
            )

    async def receive(self) -> Message:
        """Give the next part."""
        self.is_wanted = True
        try:
            async with asyncio.timeout_at(None if self.is_complete else self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise Problem(
                "body_time_out",
                given=f"a request that is not complete after {self._limits.body_timeout_s:g} s",
                accepted=f"a request that is sent in {self._limits.body_timeout_s:g} s",
                remedy="send fewer or smaller images at a time",
            ) from error
        if message["type"] == "http.request":
            await self._count(len(message.get("body", b"")))
            self.is_complete = not message.get("more_body", False)
        if self.is_complete:
            self._buffer.complete(self)
        return message

    async def discard(self) -> None:
        """Read on for a moment without keeping anything, so that the client hears the answer."""
        if not self.is_wanted:
            return
        loop = asyncio.get_running_loop()
        end = min(self._deadline, loop.time() + DISCARDED_FOR_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                while not self.is_complete:
                    message = await self._receive()
                    self.is_complete = not message.get("more_body", False)

    def release(self) -> None:
        """Count its bytes no longer."""
        self._buffer.give_back(self, self._held)
        self._held = 0

    async def _count(self, count: int) -> None:
        """Count bytes, when there is room for them; the client is not read from meanwhile."""
        if self._held + count > self._limits.max_bytes:
            raise self._too_large(f"a request of more than {self._limits.max_bytes:,} bytes")
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._buffer.take(self, count)
        except TimeoutError as error:
            raise busy("a request for which there was no room in memory") from error
        self._held += count

    def _too_large(self, given: str) -> Problem:
        return Problem(
            "too_many_bytes",
            given=given,
            accepted=f"at most {self._limits.max_bytes:,} bytes",
            remedy="send fewer or smaller images at a time",
        )


class _Answer:
    """Sends an answer; closes the connection where the request was not read to its end."""

    def __init__(self, send: Send, body: _Body, service: Service) -> None:
        self._send = send
        self._body = body
        self._service = service

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            await self._body.discard()
            if self._service.stopping or not self._body.is_complete:
                message = {
                    **message,
                    "headers": [*message.get("headers", []), (b"connection", b"close")],
                }
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await self._send(message)
