"""How many requests with a body are taken at a time; the others may come again."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from imgclf.serving.limits import Limits
from imgclf.serving.problems import Problem

__all__ = ["WITHOUT_BODY", "Turns", "busy"]

WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
RETRY_AFTER_S = 1


class Turns:
    """Takes as many requests as can be answered soon; it stands behind who may ask.

    Args:
        app: What stands behind.
        limits: How many are computed at a time, and how many may wait besides.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._most = limits.concurrency + limits.queue
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self._app(scope, receive, send)
            return
        if self._taken >= self._most:
            problem = busy(f"a request beside {self._taken} that are not answered yet")
            await problem.response()(scope, receive, send)
            return
        self._taken += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._taken -= 1


def busy(given: str) -> Problem:
    """Refuse a request that may come again in a moment."""
    return Problem(
        "busy",
        given=given,
        accepted="as many as can be answered soon",
        remedy=f"try again in {RETRY_AFTER_S} s",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
