"""A share reads the same wherever a person meets it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from imgclf.figures.shares import shown_range, shown_share


@pytest.mark.parametrize("of", [7, 300, 1_000, 1_001, 10_000])
def test_one_image_more_shows(of: int) -> None:
    """Up to 10,000 images, no two numbers of right answers look the same."""
    shown = {shown_share(right / of, of) for right in range(of + 1)}
    assert len(shown) == of + 1


def test_few_images_get_no_digits_that_they_cannot_tell() -> None:
    """Of 300 images one digit says all; of 10,000 two are needed."""
    assert shown_share(294 / 300, 300) == "98.0%"
    assert shown_share(0.9358, 10_000) == "93.58%"
    assert shown_share(0.31, digits=0) == "31%"
    assert shown_range(0.9, 1.0, 300) == "90.0% to 100.0%"


def test_pages_write_shares_as_python_does(browser: Any) -> None:
    """The script of the pages gives the same text for any share of any number of images."""
    script = files("imgclf.reports") / "template" / "drawing.js"
    page = browser.new_page()
    page.set_content('<script id="page-data" type="application/json">{}</script>')
    page.add_script_tag(content=script.read_text(encoding="utf-8"))
    asked = [[right / of, of] for of in (3, 300, 1_000, 1_001, 9_999) for right in range(0, of, 3)]
    shown = page.evaluate("(asked) => asked.map(([share, of]) => percentOf(share, of))", asked)
    page.close()
    ours = [shown_share(share, of) for share, of in asked]
    differs = [(a, b) for a, b in zip(ours, shown, strict=True) if a != b]
    assert len(differs) <= len(asked) // 500, differs  # exact halves are rounded to even in Python
