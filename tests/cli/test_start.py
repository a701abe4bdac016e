"""Verbs that answer start in a moment: they import nothing that they do not need."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

NOT_NEEDED = ("pydantic", "cv2", "tensorflow", "keras", "scipy", "pandas", "multiprocessing.pool")

RUN = f"""
import atexit, sys
atexit.register(lambda: sys.stderr.write(repr([n for n in {NOT_NEEDED!r} if n in sys.modules])))
from imgclf.cli.main import run
run()
"""


@pytest.mark.parametrize("verb", ["predict", "info", "architectures", "serve"])
def test_answering_verbs_import_nothing_heavy(
    verb: str, bundle: Path, two_classes: Path, tmp_path: Path
) -> None:
    """Neither TensorFlow nor OpenCV, nor pydantic, which Typer takes where values are typed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = {
            "predict": [bundle, next(two_classes.rglob("*.png")), "--json", "--engine", "litert"],
            "info": [bundle],
            "architectures": ["list"],
            "serve": [bundle, "--port", port],  # which another program has
        }[verb]
        done = subprocess.run(
            [sys.executable, "-c", RUN, verb, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=120,
        )
    assert done.returncode == (verb == "serve"), done.stderr
    assert done.stderr.endswith("[]"), done.stderr[-300:]


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "x.imgclf", "--port", "70000"],
        ["serve", "x.imgclf", "--port", "many"],
        ["serve", "x.imgclf", "--header-timeout", "soon"],
        ["serve", "x.imgclf", "--header-timeout", "0.01"],
        ["predict", "x.imgclf", "a.jpg", "--engine", "steam"],
        ["predict", "x.imgclf", "a.jpg", "--min-precision", "high"],
    ],
)
def test_typed_values_are_checked(arguments: list[str], tmp_path: Path) -> None:
    """What is no number, out of its range or no choice is a wrong command line, exit code 2."""
    done = subprocess.run(
        [sys.executable, "-c", "from imgclf.cli.main import run; run()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert arguments[-1] in done.stderr or arguments[-2].lstrip("-") in done.stderr
