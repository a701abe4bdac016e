"""The description of the addresses, as OpenAPI 3.1, and a page that shows it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from imgclf.serving.docs_page import docs_page
from imgclf.serving.limits import Limits
from imgclf.serving.problems import CODES, MEDIA_TYPE

__all__ = ["describe_addresses", "documentation_routes"]

Json = dict[str, Any]


def documentation_routes(limits: Limits) -> list[Route]:
    """Return the routes.

    Args:
        limits: They are described, too.

    Returns:
        ``/openapi.json`` and ``/docs``.
    """
    description = describe_addresses(limits)

    async def openapi(_request: Request) -> JSONResponse:
        return JSONResponse(description)

    async def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(
            docs_page(description, str(request.base_url).rstrip("/")),
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )

    return [Route("/openapi.json", openapi), Route("/docs", docs)]


def describe_addresses(limits: Limits) -> Json:
    """Return the OpenAPI description.

    Args:
        limits: They are named in it.

    Returns:
        The document.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imgclf",
            "version": version("imgclf"),
            "description": (
                "Answers which class an image is of. A request has at most "
                f"{limits.max_bytes:,} bytes and {limits.max_images} images of at most "
                f"{limits.max_pixels:,} pixels each."
            ),
        },
        "paths": {
            **_prediction_paths(),
            **_page_paths(),
            **_protocol_paths(),
            **_health_paths(),
        },
        "components": {
            "schemas": _schemas(),
            "responses": {
                "Problem": _json_answer("What is wrong, and what to do", "Problem", MEDIA_TYPE)
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }  # fmt: skip


def _prediction_paths() -> Json:
    operation = {
        "summary": "Classify images",
        "description": "Images come as files of a form, as the body itself, or as JSON.",
        "parameters": [
            _query("classifier", "string", "Which classifier; needed where there are several."),
            _query("top", "integer", "Only this many classes, the most probable first."),
            _query("min_precision", "number", "Accept only answers as sure as this, such as 0.95."),
        ],
        "requestBody": {"required": True, "content": _image_bodies()},
        "responses": _answers("Predictions", "A prediction for each image, in order"),
    }
    return {"/predict": {"post": operation}}


def _page_paths() -> Json:
    classifier = _query("classifier", "string", "Which classifier.")
    explain = {
        "summary": "Show where the network looked: a heat map",
        "description": "One image, as for /predict. The class is in X-Imgclf-Label.",
        "parameters": [classifier, _query("label", "string", "Which class; else the likeliest.")],
        "requestBody": {"required": True, "content": _image_bodies()},
        "responses": {
            "200": {"description": "A transparent PNG", "content": {"image/png": {"schema": {}}}},
            "default": _reference_to_problem(),
        },
    }
    collect = {
        "summary": "Keep an image as one of a class, to train on (--collect)",
        "description": "One image, as for /predict.",
        "parameters": [classifier, _query("label", "string", "Its class, or a new one.")],
        "requestBody": {"required": True, "content": _image_bodies()},
        "responses": _answers("Kept", "It was there already; 201 where it is new"),
    }
    return {
        "/": {"get": _get("The page to try it on", "HTML")},
        "/classifiers": {"get": _get("What is known of the classifiers", "Their cards")},
        "/explain": {"post": explain},
        "/collect": {"post": collect},
    }


def _image_bodies() -> Json:
    image = {"schema": {"type": "string", "contentMediaType": "image/*"}}
    form = {
        "type": "object",
        "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
    }
    return {
        "multipart/form-data": {"schema": form},
        "image/*": image,
        "application/octet-stream": image,
        "application/json": {"schema": _reference("Images")},
    }


def _protocol_paths() -> Json:
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    infer = {
        "summary": "Classify pixels (Open Inference Protocol)",
        "parameters": [name],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _reference("InferRequest")}},
        },
        "responses": _answers("InferResponse", "The outputs: probabilities, label, familiarity"),
    }
    model = _get("A classifier's inputs and outputs", "What goes in and comes out", [name])
    return {
        "/v2": {"get": _get("The server (Open Inference Protocol)", "Its name and version")},
        "/v2/health/live": {"get": _get("Does the process live?", "It lives")},
        "/v2/health/ready": {"get": _get("May it be sent requests?", "It may")},
        "/v2/models/{name}": {"get": model},
        "/v2/models/{name}/ready": {
            "get": _get("May a classifier be sent requests?", "It may", [name])
        },
        "/v2/models/{name}/infer": {"post": infer},
    }


def _health_paths() -> Json:
    metrics = _get("Metrics for Prometheus", "Counts and durations")
    metrics["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "/healthz": {"get": _get("Does the process live?", "It lives")},
        "/readyz": {"get": _get("May it be sent requests? 503 while it stops.", "It may")},
        "/metrics": {"get": metrics},
    }


def _schemas() -> Json:
    text, number, whole = {"type": "string"}, {"type": "number"}, {"type": "integer"}
    tensor = _object(
        {"name": text, "datatype": text, "shape": {"type": "array", "items": whole}, "data": {}},
        ["name", "datatype", "shape"],
    )
    named = _object({"name": text, "content": text}, ["content"])
    prediction = _object(
        {
            "path": {"type": ["string", "null"], "description": "The file's name."},
            "label": text,
            "index": whole,
            "probability": {"type": "number", "minimum": 0, "maximum": 1},
            "accepted": {"type": "boolean", "description": "Sure enough for min_precision."},
            "familiarity": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
            "unfamiliar": {"type": "boolean", "description": "Unlike the training images."},
            "probabilities": {"type": "object", "additionalProperties": number},
        }
    )
    return {
        "Images": _object(
            {"images": {"type": "array", "items": {"anyOf": [text, named]}}}, ["images"]
        ),
        "Prediction": prediction,
        "Predictions": _object(
            {
                "classifier": text,
                "version": {"type": "string", "description": "sha256 of the classifier's file."},
                "predictions": {"type": "array", "items": _reference("Prediction")},
            }
        ),
        "Kept": _object({"label": text, "path": text, "moved_from": {"type": ["string", "null"]}}),
        "InferRequest": _object(
            {"id": text, "inputs": {"type": "array", "items": tensor}}, ["inputs"]
        ),
        "InferResponse": _object(
            {
                "model_name": text,
                "model_version": text,
                "id": text,
                "outputs": {"type": "array", "items": tensor},
            }
        ),
        "Problem": _object(
            {
                "type": text,
                "title": text,
                "status": whole,
                "code": {"type": "string", "enum": sorted(CODES)},
                "detail": text,
                "given": text,
                "accepted": text,
                "remedy": text,
            }
        ),
    }


def _object(properties: Json, required: list[str] | None = None) -> Json:
    needed = {} if required is None else {"required": required}
    return {"type": "object", "properties": properties, **needed}


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _reference_to_problem() -> Json:
    return {"$ref": "#/components/responses/Problem"}


def _query(name: str, kind: str, description: str) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind}}


def _json_answer(description: str, schema: str, media_type: str = "application/json") -> Json:
    return {"description": description, "content": {media_type: {"schema": _reference(schema)}}}


def _answers(schema: str, description: str) -> Json:
    return {
        "200": _json_answer(description, schema),
        "default": _reference_to_problem(),
    }


def _get(summary: str, description: str, parameters: list[Json] | None = None) -> Json:
    shown = {} if parameters is None else {"parameters": parameters}
    return {"summary": summary, **shown, "responses": {"200": {"description": description}}}
