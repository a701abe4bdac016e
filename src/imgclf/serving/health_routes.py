"""Addresses for those who watch over a server."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imgclf.serving.service import Service

__all__ = ["health_routes"]


def health_routes(service: Service) -> list[Route]:
    """Return the routes.

    Args:
        service: What the routes share.

    Returns:
        ``/healthz`` (the process lives), ``/readyz`` (send it requests) and ``/metrics``.
    """

    async def alive(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def ready(_request: Request) -> JSONResponse:
        if service.stopping:
            return JSONResponse({"status": "stopping"}, 503)
        versions = {served.name: served.version for served in service.classifiers}
        return JSONResponse({"status": "ready", "classifiers": versions})

    async def metrics(_request: Request) -> Response:
        return service.metrics.response()

    return [Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", metrics)]
