"""What is noted of every request: its metrics, and a line for each."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgclf.machine.plain_text import printable
from imgclf.serving.metrics import Metrics
from imgclf.serving.problems import Problem

__all__ = ["REQUESTS", "Observation", "json_line", "text_line"]

REQUESTS = "imgclf.serving.requests"
_requests = logging.getLogger(REQUESTS)
_logger = logging.getLogger(__name__)

UNKNOWN = "other"
"""Stands for addresses and methods that there are not: metrics keep each name for ever."""
METHODS = ("GET", "HEAD", "POST")

BUG = Problem(
    "bug",
    given="a request that the server cannot answer",
    accepted="the requests that /docs lists",
    remedy="report it to imgclf, with the server's log",
)


class Observation:
    """Counts every request, and writes a line about it.

    Args:
        app: What stands behind.
        metrics: Where it is counted.
        line: Makes the line of a request's facts; None writes none.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, line: Callable[[dict[str, Any]], str] | None
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            _logger.exception("A request failed, which is a bug in imgclf.")
            if not status:
                await BUG.response()(scope, receive, watched)
        finally:
            self._note(scope, status, time.perf_counter() - start)

    def _note(self, scope: Scope, status: int, duration_s: float) -> None:
        """Note a request; status 0 is one that was given up."""
        route = getattr(scope.get("route"), "path", UNKNOWN)
        method = scope["method"] if scope["method"] in METHODS else UNKNOWN
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route).observe(duration_s)
        if self._line is None:
            return
        facts = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": (scope.get("client") or ("-", 0))[0],
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "duration_ms": round(1000 * duration_s, 1),
            **scope.get("state", {}).get("facts", {}),
        }
        _requests.info("%s", self._line(facts))


def json_line(facts: dict[str, Any]) -> str:
    """Write a request's facts as a line of JSON, ASCII alone."""
    return json.dumps(facts).replace("\x7f", "\\u007f")


def text_line(facts: dict[str, Any]) -> str:
    """Write a request's facts for people."""
    shown = dict(facts)
    moment = str(shown.pop("time"))[11:19]
    head = [shown.pop(name) for name in ("client", "status", "method", "path", "duration_ms")]
    client, status, method, path, duration_ms = head
    others = " ".join(f"{name}={value}" for name, value in shown.items())
    line = f"{moment} {client} {status} {method} {path} {duration_ms} ms {others}"
    return printable(line.rstrip(), is_name=True)
