"""The images of a request: multipart files, the image itself, or JSON with base64."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from imgclf.serving.json_bodies import read_json
from imgclf.serving.limits import Limits
from imgclf.serving.problems import Problem

__all__ = ["Upload", "read_uploads"]

ACCEPTED_TYPES = "multipart/form-data, image/*, application/octet-stream or application/json"


@dataclass(frozen=True, slots=True)
class Upload:
    """An image of a request.

    Attributes:
        name: The file's name; None where the request gives none.
        content: The file's bytes.
    """

    name: str | None
    content: bytes


async def read_uploads(request: Request, limits: Limits) -> list[Upload]:
    """Read the images of a request, whichever way they come.

    Args:
        request: The request.
        limits: How many images it may have.

    Returns:
        The images, at least one.

    Raises:
        Problem: It has none or too many, is of another type, or is no proper request.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        uploads = await _of_form(request, limits)
    elif media_type == "application/json":
        uploads = _of_json(await request.body())
    elif media_type.startswith("image/") or media_type == "application/octet-stream":
        content = await request.body()
        uploads = [Upload(None, content)] if content else []
    else:
        raise Problem(
            "media_type_not_accepted",
            given=f"content type {media_type!r}",
            accepted=ACCEPTED_TYPES,
            remedy="send files as a form (curl -F image=@cat.jpg), or name the image's type",
        )
    if not uploads:
        raise Problem(
            "no_image",
            given="a request without an image",
            accepted=f"1 to {limits.max_images} images",
            remedy="send files as a form: curl -F image=@cat.jpg",
        )
    if len(uploads) > limits.max_images:
        raise too_many_images(limits)
    return uploads


def too_many_images(limits: Limits) -> Problem:
    """Refuse a request with too many images."""
    return Problem(
        "too_many_files",
        given=f"more than {limits.max_images} images or form fields",
        accepted=f"1 to {limits.max_images} images",
        remedy="send them in several requests",
    )


class _InMemory(MultiPartParser):
    """Keeps files in memory, whatever their size: an upload never touches the disk."""

    spool_max_size = 0  # for SpooledTemporaryFile: no limit


async def _of_form(request: Request, limits: Limits) -> list[Upload]:
    parser = _InMemory(
        request.headers,
        request.stream(),
        max_files=limits.max_images,
        max_fields=limits.max_images,
        max_part_size=64 * 1024,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many"):
            raise too_many_images(limits) from error
        raise Problem(
            "bad_request",
            given=f"a form that cannot be read ({error.message})",
            accepted="multipart/form-data with a boundary, one part per image",
            remedy="let a library or curl -F image=@cat.jpg write it",
        ) from error
    files = [item for _, item in form.multi_items() if isinstance(item, UploadFile)]
    uploads = [Upload(file.filename or None, file.file.read()) for file in files]
    await form.close()
    return uploads


def _of_json(body: bytes) -> list[Upload]:
    try:
        value = read_json(body)
    except (ValueError, RecursionError) as error:
        raise _bad_json(f"a body that is no JSON ({type(error).__name__})") from error
    items = value.get("images") if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise _bad_json("JSON without a list of images")
    return [_of_json_item(item) for item in items]


def _of_json_item(item: Any) -> Upload:
    name, text = (item.get("name"), item.get("content")) if isinstance(item, dict) else (None, item)
    if not isinstance(text, str) or not isinstance(name, str | None):
        raise _bad_json(f"an image of type {type(item).__name__}")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return Upload(name, base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise _bad_json(f"an image that is no base64 ({error})") from error


def _bad_json(given: str) -> Problem:
    return Problem(
        "bad_request",
        given=given,
        accepted='{"images": ["<base64>", {"name": "cat.jpg", "content": "<base64>"}]}',
        remedy="encode each file's bytes as base64",
    )
