"""Runs examples/first_classifier.ipynb and writes docs/first-notebook.md with its outputs.

Usage: python tools/write_notebook_page.py

The notebook itself is kept without outputs; the page shows what a reader would see in Jupyter.
"""

import html
import re
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples/first_classifier.ipynb"
TARGET = ROOT / "docs/first-notebook.md"

FROM = "This page is the notebook `examples/first_classifier.ipynb`, with what Jupyter shows."
OUTPUT = '<div class="output" style="overflow-x:auto;margin:1em 0">{}</div>'
NOT_RUN = "<!-- not run: the tests run the notebook itself -->"


def main() -> None:
    """Run the notebook and write the page."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
        parts = [part for cell in notebook.cells for part in _shown(cell)]
    parts.insert(1, FROM)
    text = "\n\n".join(parts).replace(folder, "/home/me")
    TARGET.write_text(text + "\n", encoding="utf-8")


def _shown(cell: Any) -> list[str]:
    """Return a cell and its outputs as Markdown."""
    if cell.cell_type == "markdown":
        return [cell.source]
    outputs = [shown for output in cell.outputs if (shown := _output(output))]
    return [f"{NOT_RUN}\n```python\n{cell.source}\n```", *outputs]


def _output(output: Any) -> str:
    """Return one output: the richest form that a page can show."""
    if output.output_type == "stream":
        return _block(output.text) if output.name == "stdout" else ""
    data = output.get("data", {})
    if "text/html" in data:
        # On one line: a blank line would end the HTML for Markdown.
        return OUTPUT.format(re.sub("\n *", " ", data["text/html"]))
    if "image/png" in data:
        content = data["image/png"].replace("\n", "")
        image = f'<img alt="the output" src="data:image/png;base64,{content}">'
        return OUTPUT.format(image)
    return _block(data.get("text/plain", ""))


def _block(text: str) -> str:
    return f'<pre class="output">{html.escape(text.rstrip())}</pre>' if text.strip() else ""


if __name__ == "__main__":
    main()
