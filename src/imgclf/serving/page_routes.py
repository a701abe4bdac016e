"""The page on which a classifier is tried, and what it asks the server for."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imgclf.errors import ArgumentError, ImageError, WriteError
from imgclf.serving.cards import card_of
from imgclf.serving.collection import Collection
from imgclf.serving.explanations import Explanations, can_explain
from imgclf.serving.problems import Problem, image_problem
from imgclf.serving.trial_page import trial_page
from imgclf.serving.uploads import Upload, read_uploads

if TYPE_CHECKING:
    from starlette.requests import Request

    from imgclf.serving.served import Served
    from imgclf.serving.service import Service

__all__ = ["page_routes"]


def page_routes(service: Service, collect_dir: Path | None = None) -> list[Route]:
    """Return the routes of the page.

    Args:
        service: What the routes share.
        collect_dir: Where images are kept with the classes that people give them; None keeps none.

    Returns:
        ``GET /``, the page, which needs no token; ``GET /classifiers``, ``POST /explain`` and
        ``POST /collect``.

    Raises:
        ArgumentError: `collect_dir` cannot be used.
        WriteError: It cannot be made.
    """
    explanations = Explanations(service)
    collection = None if collect_dir is None else Collection(collect_dir)
    cards: dict[tuple[str, str], dict[str, Any]] = {}

    async def show_page(request: Request) -> Response:
        return trial_page().response(request)

    async def list_classifiers(_request: Request) -> Response:
        known: dict[tuple[str, str], dict[str, Any]] = {}
        for served in service.classifiers:
            key = served.name, served.version
            if key not in cards:
                cards[key] = await service.compute(partial(card_of, served))
            known[key] = cards[key]
        cards.clear()
        cards.update(known)
        features = {"explains": can_explain(), "collects": collection is not None}
        return JSONResponse({"classifiers": list(known.values()), **features})

    async def explain(request: Request) -> Response:
        served = service.classifiers.get(request.query_params.get("classifier"))
        upload = await _single_upload(request, service)
        label = request.query_params.get("label")
        layer = await explanations.draw(served, upload, label)
        # A header takes letters of ASCII alone.
        about = {"label": quote(layer.label), "method": layer.method, "version": served.version}
        headers = {f"x-imgclf-{name}": value for name, value in about.items()}
        return Response(layer.content, media_type="image/png", headers=headers)

    async def collect(request: Request) -> Response:
        _require_own_page(request)
        if collection is None:
            raise Problem(
                "not_collecting",
                given="an image to keep",
                accepted="nothing: the server was started without --collect",
                remedy="start it with --collect DIR",
            )
        served = service.classifiers.get(request.query_params.get("classifier"))
        label = request.query_params.get("label", "")
        upload = await _single_upload(request, service)
        return await service.compute(partial(_keep, collection, served, upload, label, service))

    return [
        Route("/", show_page, methods=["GET"]),
        Route("/classifiers", list_classifiers, methods=["GET"]),
        Route("/explain", explain, methods=["POST"]),
        Route("/collect", collect, methods=["POST"]),
    ]


def _require_own_page(request: Request) -> None:
    """Refuse what another site's page sends: it would put images into somebody's training data.

    The guard of `imgclf serve` does so for all addresses; whoever mounts the application may have
    none.
    """
    site = request.headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin"):
        raise Problem(
            "foreign_origin",
            given=f"an image to keep from a page of another site ({site})",
            accepted="images from this server's own page, and from programs",
            remedy="send it from there",
        )


async def _single_upload(request: Request, service: Service) -> Upload:
    uploads = await read_uploads(request, service.limits)
    if len(uploads) > 1:
        raise Problem(
            "too_many_files",
            given=f"{len(uploads)} images",
            accepted="one image",
            remedy="send them one by one",
        )
    return uploads[0]


def _keep(
    collection: Collection, served: Served, upload: Upload, label: str, service: Service
) -> Response:
    classifier, limits = served.classifier, service.limits.decoding
    try:
        with service.room_for(upload.content):
            kept = collection.keep(
                upload.content, label, classifier.class_names, classifier.policy, limits
            )
    except ArgumentError as error:
        raise Problem(
            "bad_argument",
            given=f"label={label[:100]!r}",
            accepted="a class of the classifier, or a new one whose name can be a folder's",
            remedy=str(error).rstrip("."),
        ) from error
    except ImageError as error:
        raise image_problem([(0, upload.name, error)], 1) from error
    except WriteError as error:
        raise Problem(
            "not_kept",
            given="an image to keep",
            accepted="images, as long as the folder can be written and the disk has room",
            remedy=str(error).rstrip("."),
        ) from error
    status = 201 if kept.is_new else 200
    return JSONResponse({"label": label, "path": kept.path, "moved_from": kept.moved_from}, status)
