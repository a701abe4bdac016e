"""Counts of requests and images, as Prometheus reads them."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

__all__ = ["Metrics"]

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """Counts of requests and images; with several worker processes, of all of them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "imgclf_requests", "Requests.", ["route", "method", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "imgclf_request_seconds",
            "Time from a request's first byte to its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.images = Counter(
            "imgclf_images", "Images answered.", ["classifier", "label"], registry=self._registry
        )
        self.reloads = Counter(
            "imgclf_reloads",
            "Changed files that were loaded, or could not be.",
            ["classifier", "outcome"],
            registry=self._registry,
        )

    def response(self) -> Response:
        """Return them as Prometheus reads them."""
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
