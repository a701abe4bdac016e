"""A connection that is closed where its client keeps it waiting."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from imgclf.serving.limits import Limits

__all__ = ["TimedConnection"]

REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"content-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n"
)


class TimedConnection(H11Protocol):
    """uvicorn's protocol, with a limit on connections and on the time that headers may take."""

    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, or refuse the connection."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            transport.write(REFUSAL)
            transport.close()
            return
        self._watch_headers()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        super().data_received(data)
        self._watch_headers()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_timer()
        super().connection_lost(exc)

    @property
    def _limits(self) -> Limits:
        limits: Limits = self.config.loaded_app.state.service.limits
        return limits

    def _watch_headers(self) -> None:
        """Let the time run while a request's headers are awaited, whatever comes of them."""
        awaited = self.cycle is None or self.cycle.response_complete
        if not awaited or self.transport.is_closing():
            self._stop_timer()
        elif self._header_timer is None:
            self._header_timer = self.loop.call_later(
                self._limits.header_timeout_s, self.transport.close
            )

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
