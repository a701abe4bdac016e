"""The application: routes, and what stands before them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imgclf.classifiers.classifier import Classifier
from imgclf.serving.limits import Limits
from imgclf.serving.prediction_routes import prediction_routes
from imgclf.serving.problems import Problem
from imgclf.serving.served_classifiers import Served, ServedClassifiers
from imgclf.serving.service import Service

__all__ = ["application"]


def application(
    classifiers: ServedClassifiers | Classifier | Mapping[str, str | os.PathLike[str]],
    *,
    limits: Limits | None = None,
    collect_dir: Path | None = None,
) -> Starlette:
    """Return an application that answers for classifiers, to be run or mounted.

    Args:
        classifiers: A classifier, files by name, or `ServedClassifiers`.
        limits: What it takes at the most; None for the usual limits.
        collect_dir: A folder for images that a user marks as wrong; None keeps nothing.

    Returns:
        A Starlette application.

    Example:
        >>> app = application(imgclf.load("pets.imgclf"))               # doctest: +SKIP
    """
    service = Service(_served(classifiers), limits or Limits())
    app = Starlette(
        routes=prediction_routes(service),
        exception_handlers={Problem: _problem, HTTPException: _http_exception},  # type: ignore[dict-item]
    )
    app.state.service = service
    app.state.collect_dir = collect_dir
    return app


def _served(
    classifiers: ServedClassifiers | Classifier | Mapping[str, str | os.PathLike[str]],
) -> ServedClassifiers:
    if isinstance(classifiers, ServedClassifiers):
        return classifiers
    if isinstance(classifiers, Classifier):
        return ServedClassifiers([Served("classifier", None, "sha256:", classifiers)])
    return ServedClassifiers.of_files(classifiers)


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return error.response()


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    problem = Problem(
        code,
        given=f"{request.method} {request.url.path}",
        accepted="the addresses that /docs lists",
        remedy="look at /docs",
        headers=dict(error.headers or {}),
    )
    return problem.response()
