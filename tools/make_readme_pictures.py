"""Makes the pictures of README and start page from a real run of `imgclf demo`.

Usage: python tools/make_readme_pictures.py

Writes docs/pictures/terminal.svg, by Rich, and docs/pictures/report.png and report-dark.png, by
Chromium; takes as long as the demo does.
"""

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).parents[1] / "docs/pictures"
COLUMNS = 80
REPORT_SIZE = (1200, 1050)
PICTURE_WIDTH = 800


def main() -> None:
    """Run the demo, draw its output and its report."""
    with tempfile.TemporaryDirectory() as folder:
        told, results = run_demo(Path(folder))
        (FOLDER / "terminal.svg").write_text(draw_terminal(told, results))
        report = Path(folder) / "imgclf-demo/runs/last/report.html"
        draw_report(report, FOLDER / "report.png", "light")
        draw_report(report, FOLDER / "report-dark.png", "dark")


def run_demo(folder: Path) -> tuple[str, str]:
    """Run `imgclf demo`; return what it told on the way, and its results as a terminal got them."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", "from imgclf.cli.main import run; run()", "demo"],
        cwd=folder,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"},
    ) as process:
        os.close(theirs)
        parts: list[bytes] = []
        reader = threading.Thread(target=read_all, args=(ours, parts))
        reader.start()
        assert process.stderr is not None
        told = process.stderr.read()
        reader.join()
    if process.returncode:
        sys.exit(told)
    return told, b"".join(parts).decode().replace("\r\n", "\n")


def read_all(descriptor: int, parts: list[bytes]) -> None:
    """Read a terminal until the other side is closed."""
    while True:
        try:
            parts.append(os.read(descriptor, 65536))
        except OSError:
            return


def draw_terminal(told: str, results: str) -> str:
    """Draw both as one picture of a terminal; no font is fetched from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print("[bold green]$[/] [bold]imgclf demo[/]")
    console.print(Text(told.strip(), style="dim"))
    console.print(Text.from_ansi(results.rstrip()))
    plain = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="imgclf demo", code_format=plain, unique_id="terminal")


def draw_report(page: Path, target: Path, colour_scheme: Literal["light", "dark"]) -> None:
    """Photograph the top of a report."""
    chromium = shutil.which("chromium") or sys.exit("Install chromium first.")
    width, height = REPORT_SIZE
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=colour_scheme
        )
        tab.goto(page.as_uri())
        photo = tab.screenshot()
        browser.close()
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    size = (PICTURE_WIDTH, round(image.height * PICTURE_WIDTH / image.width))
    image.resize(size, Image.Resampling.LANCZOS).quantize(96).save(target, optimize=True)


if __name__ == "__main__":
    main()
