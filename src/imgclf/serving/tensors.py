"""Tensors of the Open Inference Protocol: as JSON, or as bytes behind the JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgclf.serving.json_bodies import read_json
from imgclf.serving.problems import Problem

__all__ = ["InferRequest", "as_json", "as_raw_bytes", "parse_infer_request"]


@dataclass(frozen=True, slots=True, eq=False)
class InferRequest:
    """A request of the protocol.

    Attributes:
        id: What the client calls it; None for no name.
        images: uint8 ``(batch, height, width, channels)``.
        outputs: The outputs that are wanted, each with whether as bytes; None for all.
        binary: Whether outputs are wanted as bytes where they do not say.
    """

    id: str | None
    images: NDArray[np.uint8]
    outputs: dict[str, bool | None] | None
    binary: bool


def parse_infer_request(
    body: bytes, header_bytes: str | None, channels: int, max_images: int
) -> InferRequest:
    """Read a request of the protocol.

    Args:
        body: JSON, which the bytes of tensors may follow.
        header_bytes: The header ``Inference-Header-Content-Length``: the length of the JSON.
        channels: Of the images, 3 or 1.
        max_images: How many it may have.

    Returns:
        The request.

    Raises:
        Problem: It is no such request.
    """
    length = _json_length(body, header_bytes)
    try:
        value = read_json(body[:length])
        (tensor,) = value["inputs"]
        name, datatype, shape = tensor["name"], tensor["datatype"], tensor["shape"]
        parameters = {**tensor.get("parameters", {})}
        identifier = value.get("id")
        outputs = _wanted_outputs(value.get("outputs"))
        binary = bool({**value.get("parameters", {})}.get("binary_data_output", False))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise _refused("JSON of another form", channels) from error
    if datatype != "UINT8":
        raise _refused(f"an input {name!r} of type {datatype!r}", channels)
    if not _is_shape(shape, channels) or (identifier is not None and type(identifier) is not str):
        raise _refused(f"an input of shape {str(shape)[:80]}", channels)
    if shape[0] > max_images:
        raise Problem(
            "too_many_files",
            given=f"{shape[0]} images",
            accepted=f"1 to {max_images} images",
            remedy="send them in several requests",
        )
    if parameters.get("binary_data_size") is not None:
        values = _of_bytes(body[length:], parameters["binary_data_size"])
    else:
        values = _of_json(tensor.get("data"))
    if values is None or values.size != math.prod(shape):
        raise _refused(f"data that does not fill the shape {shape}", channels)
    return InferRequest(identifier, values.reshape(shape), outputs, binary)


def as_json(name: str, datatype: str, values: NDArray[Any] | Sequence[str]) -> dict[str, Any]:
    """Write an output as JSON."""
    plain = values.ravel().tolist() if isinstance(values, np.ndarray) else list(values)
    return {"name": name, "datatype": datatype, "shape": list(np.shape(values)), "data": plain}


def as_raw_bytes(values: NDArray[Any] | Sequence[str]) -> bytes:
    """Write an output as bytes: little-endian numbers, or texts with their lengths before them."""
    if isinstance(values, np.ndarray):
        return values.astype(values.dtype.newbyteorder("<")).tobytes()
    texts = [text.encode("utf-8", "backslashreplace") for text in values]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def _json_length(body: bytes, header_bytes: str | None) -> int:
    if header_bytes is None:
        return len(body)
    if not (header_bytes.isascii() and header_bytes.isdigit() and len(header_bytes) < 12):
        raise Problem(
            "bad_request",
            given=f"Inference-Header-Content-Length: {header_bytes!r}",
            accepted="the number of bytes of the JSON",
            remedy="leave the header out for a request without bytes behind the JSON",
        )
    return int(header_bytes)


def _wanted_outputs(outputs: Any) -> dict[str, bool | None] | None:
    if outputs is None:
        return None
    wanted = {}
    for output in outputs:
        binary = {**output.get("parameters", {})}.get("binary_data")
        wanted[str(output["name"])] = None if binary is None else bool(binary)
    return wanted or None


def _is_shape(shape: Any, channels: int) -> bool:
    return (
        isinstance(shape, list)
        and len(shape) == 4
        and all(type(side) is int and 0 < side < 2**31 for side in shape)
        and shape[3] == channels
    )


def _of_bytes(content: bytes, size: Any) -> NDArray[np.uint8] | None:
    return np.frombuffer(content, np.uint8) if size == len(content) else None


def _of_json(data: Any) -> NDArray[np.uint8] | None:
    """Read numbers, nested or not; None for anything else."""
    try:
        values = np.asarray(data)
    except ValueError:  # lists of different lengths
        return None
    if values.dtype.kind not in "iu" or values.size == 0:
        return None
    if int(values.min()) < 0 or int(values.max()) > 255:
        return None
    return values.astype(np.uint8).ravel()


def _refused(given: str, channels: int) -> Problem:
    return Problem(
        "bad_request",
        given=given,
        accepted=f"one input of type UINT8 and shape [batch, height, width, {channels}]",
        remedy="send images as RGB pixels from 0 to 255, or files to /predict",
    )
