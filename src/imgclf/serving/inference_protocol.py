"""The Open Inference Protocol v2, as KServe's and Triton's clients speak it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imgclf.classifiers.prediction import Prediction
from imgclf.data.pixels.decoder import decode
from imgclf.serving.prediction_routes import note_answer
from imgclf.serving.problems import Problem
from imgclf.serving.served_classifiers import Served
from imgclf.serving.service import Service
from imgclf.serving.tensors import InferRequest, as_json, as_raw_bytes, parse_infer_request

__all__ = ["inference_protocol_routes"]

INPUT = "image"
HEADER_LENGTH = "Inference-Header-Content-Length"

Outputs = dict[str, tuple[str, "NDArray[Any] | Sequence[str]"]]
"""The type and the values of each output, by name."""


def inference_protocol_routes(service: Service) -> list[Route]:
    """Return the routes of the protocol.

    Args:
        service: What the routes share.

    Returns:
        All addresses below ``/v2``.
    """

    async def server(_request: Request) -> JSONResponse:
        return JSONResponse(
            {"name": "imgclf", "version": _version(), "extensions": ["binary_tensor_data"]}
        )

    async def live(_request: Request) -> JSONResponse:
        return JSONResponse({"live": True})

    async def ready(_request: Request) -> JSONResponse:
        return JSONResponse({"ready": not service.stopping}, 503 if service.stopping else 200)

    async def model(request: Request) -> JSONResponse:
        return JSONResponse(describe(_named(request)))

    async def model_ready(request: Request) -> JSONResponse:
        served = _named(request)
        return JSONResponse({"name": served.name, "ready": True})

    async def infer(request: Request) -> Response:
        served = _named(request)
        body = await request.body()
        length = request.headers.get(HEADER_LENGTH)
        wanted, predictions = await service.compute(lambda: _answer(served, body, length, service))
        note_answer(request, service, served, predictions)
        return _response(served, wanted, _outputs(predictions))

    def _named(request: Request) -> Served:
        served = service.classifiers.get(request.path_params["name"])
        version = request.path_params.get("version", served.version)
        if version != served.version:
            raise Problem(
                "unknown_classifier",
                given=f"version {version!r} of {served.name!r}",
                accepted=served.version,
                remedy="leave the version out",
            )
        return served

    routes = [
        Route("/v2", server),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
    ]
    for place in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        routes += [
            Route(place, model),
            Route(f"{place}/ready", model_ready),
            Route(f"{place}/infer", infer, methods=["POST"]),
        ]
    return routes


def describe(served: Served) -> dict[str, Any]:
    """Return a classifier's metadata as the protocol has them."""
    policy, names = served.classifier.policy, served.classifier.class_names
    outputs = [
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, len(names)]},
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
    ]
    if served.classifier.record.familiarity is not None:
        outputs.append({"name": "familiarity", "datatype": "FP64", "shape": [-1]})
    return {
        "name": served.name,
        "versions": [served.version],
        "platform": f"imgclf_{served.classifier.engine}",
        "inputs": [
            {"name": INPUT, "datatype": "UINT8", "shape": [-1, -1, -1, policy.channels]},
        ],
        "outputs": outputs,
        "parameters": {"class_names": list(names), "image_size": list(policy.image_size)},
    }


def _answer(
    served: Served, body: bytes, length: str | None, service: Service
) -> tuple[InferRequest, list[Prediction]]:
    policy = served.classifier.policy
    wanted = parse_infer_request(body, length, policy.channels, service.limits.max_images)
    _, height, width, _ = wanted.images.shape
    with service.pixel_budget.taken(height * width):
        pixels = np.stack([decode(image, policy) for image in wanted.images])
    predictions = served.classifier.predict_decoded(pixels, [None] * len(pixels))
    return wanted, predictions


def _outputs(predictions: Sequence[Prediction]) -> Outputs:
    rows = [list(item.probabilities.values()) for item in predictions]
    outputs: Outputs = {
        "probabilities": ("FP64", np.array(rows)),
        "label": ("BYTES", [item.label for item in predictions]),
    }
    if predictions[0].familiarity is not None:
        outputs["familiarity"] = ("FP64", np.array([item.familiarity for item in predictions]))
    return outputs


def _response(served: Served, wanted: InferRequest, outputs: Outputs) -> Response:
    unknown = [name for name in wanted.outputs or () if name not in outputs]
    if unknown:
        raise Problem(
            "bad_argument",
            given=f"the output {unknown[0]!r}",
            accepted=", ".join(outputs),
            remedy="ask for some of these, or leave outputs out",
        )
    head: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
    if wanted.id is not None:
        head["id"] = wanted.id
    head["outputs"], raw = [], []
    for name, as_bytes in (wanted.outputs or dict.fromkeys(outputs)).items():
        written = as_json(name, *outputs[name])
        if wanted.binary if as_bytes is None else as_bytes:
            del written["data"]
            raw.append(as_raw_bytes(outputs[name][1]))
            written["parameters"] = {"binary_data_size": len(raw[-1])}
        head["outputs"].append(written)
    text = json.dumps(head).encode()
    if not raw:
        return Response(text, media_type="application/json")
    return Response(
        text + b"".join(raw),
        headers={HEADER_LENGTH: str(len(text))},
        media_type="application/octet-stream",
    )


def _version() -> str:
    from importlib.metadata import version

    return version("imgclf")
