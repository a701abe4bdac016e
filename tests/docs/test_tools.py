"""The tools of the documentation find what they are there to find."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from docs.code_blocks import ROOT


def load_tool(name: str) -> ModuleType:
    """Import a script of tools/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tools/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_figures_of_the_pages_are_those_that_were_measured() -> None:
    """README and pages show what docs/figures.json holds, of one machine and one commit."""
    figures = json.loads((ROOT / "docs/figures.json").read_text(encoding="utf-8"))
    for page, text in load_tool("measure_figures").pages(figures).items():
        assert page.read_text(encoding="utf-8") == text, f"{page.name}: measure_figures.py --write"
        assert figures["commit"] in text or page.name == "index.md"


@pytest.mark.parametrize(
    ("markup", "fault"),
    [
        ('<a href="other.html">', "other.html leads nowhere"),
        ('<a href="#lost">', "#lost has no such anchor"),
        ('<img src="lost.png#only-light">', "lost.png#only-light leads nowhere"),
        ('<script src="https://example.org/x.js">', "loads https://example.org/x.js"),
        ('<a id="here" href="page.html#here">', ""),
        ('<a href="https://example.org">', ""),
    ],
)
def test_a_broken_link_of_the_site_is_named(tmp_path: Path, markup: str, fault: str) -> None:
    """Links, anchors and pictures that lead nowhere, and what would be fetched, end the check."""
    (tmp_path / "page.html").write_text(markup, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, ROOT / "tools/check_site.py", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == bool(fault)
    assert done.stderr.strip() == (f"page.html: {fault}" if fault else "")
