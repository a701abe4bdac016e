"""The application: routes, and what stands before them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from imgclf.classifiers.classifier import Classifier
from imgclf.engines.engine_names import EngineName
from imgclf.errors import EngineError, ImageError, ImgclfError
from imgclf.machine.memory import release_memory
from imgclf.serving.guard import HostGuard, TokenGuard
from imgclf.serving.health_routes import health_routes
from imgclf.serving.inference_protocol import inference_protocol_routes
from imgclf.serving.limited_bodies import LimitedBodies
from imgclf.serving.limits import Limits
from imgclf.serving.observation import Observation
from imgclf.serving.openapi import documentation_routes
from imgclf.serving.page_routes import page_routes
from imgclf.serving.prediction_routes import prediction_routes
from imgclf.serving.problems import Problem, image_problem
from imgclf.serving.reload import watch_files
from imgclf.serving.served import load_served, serve_object
from imgclf.serving.served_classifiers import ServedClassifiers
from imgclf.serving.served_names import default_name
from imgclf.serving.service import Service
from imgclf.serving.turns import Turns

__all__ = ["application"]

GONE = 499
"""Status of a request whose client has gone; nobody reads it but the log."""

Source = Classifier | str | os.PathLike[str]
"""A classifier, or its file."""


def application(
    classifiers: Source | Mapping[str, Source] | ServedClassifiers,
    *,
    limits: Limits | None = None,
    host_names: Collection[str] | None = None,
    token: str | None = None,
    collect_dir: str | os.PathLike[str] | None = None,
    request_line: Callable[[dict[str, Any]], str] | None = None,
    engine: EngineName = "auto",
) -> Starlette:
    """Return an application that answers for classifiers, to be run or mounted.

    Changed files are loaded again while it runs.

    Args:
        classifiers: A classifier, the path of its file, or several of these by name.
        limits: What it takes at the most; None for the usual limits. Those of headers and
            connections are `imgclf serve`'s alone.
        host_names: Names under which the server may be addressed, beside numbers, in lower case;
            requests for others, and of other sites' pages, are refused. None leaves that to you.
        token: Requests must carry it, as ``Authorization: Bearer TOKEN``; None asks for none.
        collect_dir: Folder for images that a user marks as wrong; None keeps nothing.
        request_line: Makes a line of the log for each request; None makes none.
        engine: What answers for files, as for `imgclf.load`.

    Returns:
        A Starlette application.

    Raises:
        DataNotFoundError: A file does not exist.
        BundleError: A file cannot be used.
        ArgumentError: There is no classifier, or `collect_dir` holds split folders.
        WriteError: `collect_dir` cannot be made.

    Example:
        >>> app = imgclf.serving.application("pets.imgclf")               # doctest: +SKIP
        >>> outer = Starlette(routes=[Mount("/pets", app)])               # doctest: +SKIP
    """
    limits = limits or Limits()
    service = Service(_served(classifiers, limits.concurrency, engine), limits)
    watch_files(
        service.classifiers,
        limits.concurrency,
        lambda name, outcome: service.metrics.reloads.labels(name, outcome).inc(),
    )
    app = Starlette(
        routes=[
            *prediction_routes(service),
            *inference_protocol_routes(service),
            *health_routes(service),
            *documentation_routes(limits),
            *page_routes(service, None if collect_dir is None else Path(collect_dir)),
        ],
        middleware=_middleware(service, host_names, token, request_line),
        exception_handlers={
            HTTPException: _refuse_address,
            ImgclfError: _refuse,
            ClientDisconnect: _gone,
        },
    )
    app.state.service = service
    return app


def _served(
    classifiers: Source | Mapping[str, Source] | ServedClassifiers,
    concurrency: int,
    engine: EngineName,
) -> ServedClassifiers:
    if isinstance(classifiers, ServedClassifiers):
        return classifiers
    if not isinstance(classifiers, Mapping):
        classifiers = {_name(classifiers): classifiers}
    served = [
        serve_object(name, one, concurrency)
        if isinstance(one, Classifier)
        else load_served(name, Path(one), concurrency, engine)
        for name, one in classifiers.items()
    ]
    release_memory()  # What was read, and verified.
    return ServedClassifiers(served)


def _name(classifier: Source) -> str:
    file = classifier.record.file if isinstance(classifier, Classifier) else Path(classifier)
    return "classifier" if file is None else default_name(file)


def _middleware(
    service: Service,
    host_names: Collection[str] | None,
    token: str | None,
    request_line: Callable[[dict[str, Any]], str] | None,
) -> list[Middleware]:
    """Return what stands before the routes, the first to see a request first."""
    stack = [
        Middleware(Observation, metrics=service.metrics, line=request_line),
        Middleware(LimitedBodies, service=service),
    ]
    if host_names is not None:
        stack.append(Middleware(HostGuard, names=frozenset(host_names)))
    if token is not None:
        stack.append(Middleware(TokenGuard, token=token))
    return [*stack, Middleware(Turns, limits=service.limits)]


async def _refuse(_request: Request, error: Exception) -> Response:
    """Answer with the problem that an error of imgclf is."""
    if isinstance(error, Problem):
        return error.response()
    if isinstance(error, ImageError):
        return image_problem([(0, None, error)], 1).response()
    problem = Problem(
        "engine_failed" if isinstance(error, EngineError) else "bad_argument",
        given=str(error).rstrip("."),
        accepted="see /docs",
        remedy="follow the message",
    )
    return problem.response()


async def _refuse_address(request: Request, error: Exception) -> Response:
    """Answer a request for an address or with a method that there is not."""
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed"}
    problem = Problem(
        codes.get(error.status_code, "bad_request"),
        given=f"{request.method} {request.url.path}",
        accepted="the addresses that /docs lists",
        remedy="look at /docs",
        headers=dict(error.headers or {}),
    )
    return problem.response()


async def _gone(_request: Request, _error: Exception) -> Response:
    """Answer nobody: the client has gone."""
    return Response(status_code=GONE)
