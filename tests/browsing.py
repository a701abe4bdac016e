"""A real browser for the tests of pages, and a page that notes what goes wrong on it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

CHROMIUM = os.environ.get("IMGCLF_CHROMIUM") or shutil.which("chromium") or ""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",  # a camera that shows a moving pattern,
    "--use-fake-ui-for-media-stream",  # and a user who allows it
]


class Visit:
    """An opened page, and all that went wrong or over the network on it.

    Of a page that is served, its own server may be asked.
    """

    def __init__(self, browser: Any, place: Path | str, **options: Any) -> None:
        address = place if isinstance(place, str) else place.as_uri()
        self.own = ("file:", "data:") if isinstance(place, Path) else ("blob:", "data:", address)
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", self._note_request)
        self.page.goto(address)

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith(self.own):
            self.complaints.append(request.url)
