"""What is wrong with a request, as a problem document (RFC 9457)."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from imgclf.data.pixels.decoder import REASONS
from imgclf.data.pixels.formats import ACCEPTED_FORMATS
from imgclf.errors import ImageError, ImgclfError

__all__ = ["CODES", "MEDIA_TYPE", "Problem", "image_problem"]

MEDIA_TYPE = "application/problem+json"

CODES: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be read"),
    "bad_argument": (400, "A parameter has a value that is not accepted"),
    "classifier_not_named": (400, "The request does not say which classifier"),
    "no_image": (400, "The request has no image"),
    "not_authorized": (401, "The request carries no valid token"),
    "host_not_accepted": (403, "The request is addressed to another host"),
    "foreign_origin": (403, "The request comes from another site's page"),
    "not_found": (404, "There is nothing at this address"),
    "unknown_classifier": (404, "No classifier has this name"),
    "not_collecting": (404, "The server keeps no images"),
    "method_not_allowed": (405, "The address does not take this method"),
    "body_time_out": (408, "The request came too slowly"),
    "too_many_bytes": (413, "The request is too large"),
    "too_many_pixels": (413, "The request has too many pixels"),
    "too_many_files": (413, "The request has too many images"),
    "media_type_not_accepted": (415, "The request is of a type that is not accepted"),
    "image_not_accepted": (422, "An image cannot be decoded"),
    "bug": (500, "The server failed"),
    "engine_failed": (500, "The network could not be run"),
    "no_heat_maps": (501, "The server can draw no heat maps"),
    "busy": (503, "The server is busy"),
    "not_kept": (507, "The image could not be kept"),
}
"""Every code: the status of the answer, and its title. The codes are stable."""


class Problem(ImgclfError):  # noqa: N818 - as RFC 9457 calls it
    """A request that is refused; it becomes the answer.

    Attributes:
        code: A key of `CODES`.
        members: Further members of the document.
        headers: Further headers of the answer.

    Args:
        code: A key of `CODES`.
        given: What the request has.
        accepted: What it may have.
        remedy: What to do, as the end of a sentence.
        headers: Further headers of the answer.
        members: Further members of the document.
    """

    def __init__(
        self,
        code: str,
        *,
        given: str,
        accepted: str,
        remedy: str,
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(f"{given}; accepted: {accepted}. {remedy[:1].upper()}{remedy[1:]}.")
        self.code = code
        self.headers = headers or {}
        self.members: dict[str, Any] = {
            "given": given, "accepted": accepted, "remedy": remedy, **members
        }  # fmt: skip

    @property
    def status(self) -> int:
        """The status of the answer."""
        return CODES[self.code][0]

    def document(self) -> dict[str, Any]:
        """Return the problem document."""
        status, title = CODES[self.code]
        return {
            "type": f"urn:imgclf:problem:{self.code}",
            "title": title,
            "status": status,
            "code": self.code,
            "detail": str(self),
            **self.members,
        }

    def response(self) -> JSONResponse:
        """Return the answer."""
        return JSONResponse(
            self.document(), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def image_problem(failures: list[tuple[int, str | None, ImageError]], num_images: int) -> Problem:
    """Refuse a request for its images that cannot be decoded.

    Args:
        failures: The place, the name if it has one, and the fault of each.
        num_images: How many images the request has.

    Returns:
        The problem; its member `images` names place, name, reason and detail of each.
    """
    images = [
        {"index": index, "name": name, "reason": error.reason, "detail": str(error)}
        for index, name, error in failures
    ]
    place, name, error = failures[0]
    which = f"image {place + 1} of {num_images}" + (f", {name!r}" if name else "")
    others = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    return Problem(
        "image_not_accepted",
        given=f"{which}{others}: {error.reason}",
        accepted=", ".join(ACCEPTED_FORMATS),
        remedy=REASONS[error.reason].rstrip("."),
        images=images,
    )
