"""`POST /predict`: the classes of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from imgclf.classifiers.prediction import Prediction
from imgclf.data.pixels.decoder import decode
from imgclf.errors import ArgumentError, ImageError
from imgclf.serving.limits import Limits
from imgclf.serving.pixel_budget import stated_pixels
from imgclf.serving.problems import Problem, image_problem
from imgclf.serving.served_classifiers import Served
from imgclf.serving.service import Service
from imgclf.serving.uploads import Upload, read_uploads

PIXELS_OF_A_REQUEST = 4
"""Pixels of all images of a request, in those that one image may have."""

__all__ = ["classify", "note_answer", "prediction_routes"]


def prediction_routes(service: Service) -> list[Route]:
    """Return the routes.

    Args:
        service: What the routes share.

    Returns:
        `POST /predict`.
    """

    async def predict(request: Request) -> JSONResponse:
        served = service.classifiers.get(request.query_params.get("classifier"))
        top = read_number(request, "top")
        min_precision = read_share(request, "min_precision")
        uploads = await read_uploads(request, service.limits)
        predictions = await service.compute(
            lambda: classify(served, uploads, service, min_precision)
        )
        note_answer(request, service, served, predictions)
        return JSONResponse(
            {
                "classifier": served.name,
                "version": served.version,
                "predictions": [shortened(item, top) for item in predictions],
            }
        )

    return [Route("/predict", predict, methods=["POST"])]


def classify(
    served: Served, uploads: Sequence[Upload], service: Service, min_precision: float | None
) -> list[Prediction]:
    """Decode images and classify them, in a thread that may take its time.

    Args:
        served: What answers.
        uploads: The images.
        service: Its limits count.
        min_precision: As for `Classifier.predict`.

    Returns:
        A prediction for each.

    Raises:
        Problem: An image cannot be decoded, or the precision cannot be reached.
    """
    policy, limits = served.classifier.policy, service.limits
    stated = [stated_pixels(upload.content, limits.max_pixels) for upload in uploads]
    refuse_pixels(sum(stated), limits)
    pixels, failures = [], []
    for index, (upload, count) in enumerate(zip(uploads, stated, strict=True)):
        try:
            with service.pixel_budget.taken(count):
                pixels.append(decode(upload.content, policy, limits.decoding))
        except ImageError as error:
            failures.append((index, upload.name, error))
    if failures:
        raise image_problem(failures, len(uploads))
    try:
        return served.classifier.predict_decoded(
            np.stack(pixels), [upload.name for upload in uploads], min_precision=min_precision
        )
    except ArgumentError as error:
        raise Problem(
            "bad_argument",
            given=f"min_precision={min_precision}",
            accepted="a precision that the classifier has a threshold for",
            remedy=str(error).rstrip("."),
        ) from error


def refuse_pixels(pixels: int, limits: Limits) -> None:
    """Refuse a request whose images would take too long to decode, all in all."""
    most = PIXELS_OF_A_REQUEST * limits.max_pixels
    if pixels > most:
        raise Problem(
            "too_many_pixels",
            given=f"images of {pixels:,} pixels in all",
            accepted=f"at most {most:,} in a request",
            remedy="send them in several requests",
        )


def note_answer(
    request: Request, service: Service, served: Served, predictions: Sequence[Prediction]
) -> None:
    """Note what was answered, for the metrics and the request's line in the log.

    Args:
        request: The request.
        service: Its metrics count.
        served: What answered.
        predictions: The answers.
    """
    for item in predictions:
        service.metrics.images.labels(served.name, item.label).inc()
    request.state.facts = {
        "classifier": served.name,
        "version": served.version[:19],
        "images": len(predictions),
    }


def shortened(prediction: Prediction, top: int | None) -> dict[str, Any]:
    """Return a prediction as `predict --json` prints it, with the most probable classes alone.

    Args:
        prediction: The prediction.
        top: How many classes; None for all, in the classifier's order.

    Returns:
        Plain values.
    """
    value = prediction.as_dict()
    if top is not None:
        ranked = sorted(value["probabilities"].items(), key=lambda item: -item[1])
        value["probabilities"] = dict(ranked[:top])
    return value


def read_number(request: Request, name: str) -> int | None:
    """Return a whole number from 1 on of a request's query; None where it is not there."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise Problem(
            "bad_argument",
            given=f"{name}={text!r}",
            accepted="a whole number from 1 on",
            remedy=f"write ?{name}=5",
        )
    return int(text)


def read_share(request: Request, name: str) -> float | None:
    """Return a share of a request's query; None where it is not there."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise Problem(
            "bad_argument",
            given=f"{name}={text!r}",
            accepted="a share above 0 and at most 1",
            remedy=f"write ?{name}=0.95",
        )
    return value
