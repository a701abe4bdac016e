"""Who may ask: the host that is addressed, the page that asks, and the token."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from imgclf.serving.problems import Problem

__all__ = ["OPEN_PATHS", "HostGuard", "TokenGuard", "own_names"]

OPEN_PATHS = frozenset(
    {"/", "/docs", "/healthz", "/openapi.json", "/readyz", "/v2/health/live", "/v2/health/ready"}
)
"""Answered without a token: they tell nothing, and probes and browsers send none."""


def own_path(scope: Scope) -> str:
    """Return a request's path as the application knows it, wherever that is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def own_names(host: str) -> frozenset[str]:
    """Return the names under which a server may be addressed, beside numbers.

    Args:
        host: What it listens on.

    Returns:
        Lower-case names.
    """
    return frozenset({"localhost", host.lower(), socket.gethostname().lower()})


class HostGuard:
    """Refuses requests that were addressed to another name, and those of other sites' pages.

    A page of another site can let a name of its own lead to this server (DNS rebinding), or send
    it a form. Numbers are always accepted: no site can let them lead elsewhere.

    Args:
        app: What stands behind.
        names: Names under which the server may be addressed, in lower case.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it."""
        problem = self._fault(Headers(scope=scope)) if scope["type"] == "http" else None
        await (self._app if problem is None else problem.response())(scope, receive, send)

    def _fault(self, headers: Headers) -> Problem | None:
        host = headers.get("host", "")
        if not self._is_own(_name_of(f"//{host}")):
            return Problem(
                "host_not_accepted",
                given=f"a request for the host {host!r}",
                accepted=", ".join(["numbers such as 127.0.0.1", *sorted(self._names)]),
                remedy="use one of these, or start the server with --allowed-host NAME",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return Problem(
                "foreign_origin",
                given=f"a request of a page of {origin!r}",
                accepted="requests of this server's own page, and of programs",
                remedy="ask from a program, or from a server of yours",
            )
        return None

    def _is_own(self, name: str) -> bool:
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True


def _name_of(address: str) -> str:
    """Return the name or number of an address, without its port."""
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


class TokenGuard:
    """Refuses requests that do not carry the token, but for `OPEN_PATHS`.

    Args:
        app: What stands behind.
        token: The token.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it."""
        if scope["type"] != "http" or self._is_open(scope) or self._carries_token(scope):
            await self._app(scope, receive, send)
            return
        problem = Problem(
            "not_authorized",
            given="a request without the token",
            accepted="the header Authorization: Bearer TOKEN",
            remedy="send the token that the server was started with (--token-file)",
            headers={"WWW-Authenticate": "Bearer"},
        )
        await problem.response()(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        return scope["method"] in ("GET", "HEAD") and own_path(scope) in OPEN_PATHS

    def _carries_token(self, scope: Scope) -> bool:
        given = Headers(scope=scope).get("authorization", "").encode("latin-1")
        return hmac.compare_digest(given, self._expected)
