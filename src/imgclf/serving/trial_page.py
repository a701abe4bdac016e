"""The page that is served, with the headers that keep it to itself."""

from __future__ import annotations

import functools
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response

from imgclf.reports.page import fill_page, script_hash

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["TrialPage", "trial_page"]

SCRIPTS = (
    "drawing.js", "cards.js", "requests.js", "corrections.js", "heat_layers.js", "gallery.js",
    "classifiers.js", "intake.js",
)  # fmt: skip


class TrialPage:
    """One HTML file with its styles and its script inside; it is the same for all classifiers.

    Attributes:
        content: The file.
        headers: Those of an answer with it.
    """

    def __init__(self) -> None:
        own = files("imgclf.serving").joinpath("page_template")
        shared = files("imgclf.exports").joinpath("web_template")
        page = fill_page(
            "served.html",
            SCRIPTS,
            {},
            {},
            styles=["classifier.css", "served.css"],
            folders=[own, shared],
            blocks={"choose": shared.joinpath("chooser.html").read_text(encoding="utf-8")},
        )
        self.content = page.encode()
        self.headers = {
            "content-security-policy": _policy(page),
            "cache-control": "no-cache",
            "etag": f'"{hashlib.sha256(self.content).hexdigest()[:32]}"',
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "permissions-policy": "camera=(self), microphone=(), geolocation=()",
        }

    def response(self, request: Request) -> Response:
        """Return the page, or say that the one that the browser has is the same."""
        if request.headers.get("if-none-match") == self.headers["etag"]:
            return Response(status_code=304, headers=self.headers)
        return Response(self.content, media_type="text/html", headers=self.headers)


@functools.cache
def trial_page() -> TrialPage:
    """Return the page; it is made when it is first asked for."""
    return TrialPage()


def _policy(page: str) -> str:
    """Return the page's Content-Security-Policy: its own script and styles, its own server."""
    style = page.split("<style>", 1)[1].split("</style>", 1)[0]
    script = page.rsplit("<script>", 1)[1].split("</script>", 1)[0]
    rules = {
        "default-src": "'none'",
        "script-src": f"'{script_hash(script)}'",
        "style-src": f"'{script_hash(style)}'",
        "img-src": "blob: data:",
        "media-src": "blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
