"""What the tests of the pages share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from browsing import ARGUMENTS, CHROMIUM


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a real browser."""
    if os.environ.get("IMGCLF_REQUIRE_BROWSER"):
        assert CHROMIUM, "no chromium, and IMGCLF_REQUIRE_BROWSER forbids to skip these tests"
    elif not CHROMIUM:
        pytest.skip("needs chromium: install it, or name it in IMGCLF_CHROMIUM")
    else:
        pytest.importorskip("playwright", reason="needs the package playwright")
    import playwright.sync_api as api

    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()
