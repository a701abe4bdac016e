"""Draws heat maps in a process of its own: only there TensorFlow is imported and needs memory.

Usage: python -m imgclf.serving.heat_map_worker

Each request on standard input is a line of JSON, `Request`, and the pixels behind it, uint8. Each
answer on standard output is a line of JSON, ``{"method": ...}`` with the heat map behind it,
float32, or ``{"error": ...}`` in one line. The end of standard input ends the process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import IO, TYPE_CHECKING, TypedDict

import numpy as np

from imgclf.errors import in_one_line
from imgclf.machine.startup import prepare_tensorflow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.classifiers.classifier import Classifier

__all__ = ["Request", "main"]

MOST_LOADED = 4
"""Classifiers that are kept in memory."""


class Request(TypedDict):
    """What is asked for.

    Attributes:
        path: The classifier's file.
        version: What tells two contents of that file apart.
        class_index: The class to explain.
        shape: ``(height, width, channels)`` of the pixels.
    """

    path: str
    version: str
    class_index: int
    shape: list[int]


def main() -> None:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which drains.
    prepare_tensorflow()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Whatever a library prints is no answer.
    loaded: dict[str, Classifier] = {}
    while line := sys.stdin.buffer.readline():
        request: Request = json.loads(line)
        pixels = _read_pixels(sys.stdin.buffer, request["shape"])
        try:
            maps, method = _classifier(request, loaded).draw_heatmaps(
                pixels[np.newaxis], np.array([request["class_index"]])
            )
        except Exception as error:  # noqa: BLE001 - told to the server, which goes on
            _answer(answers, {"error": in_one_line(error)})
        else:
            _answer(answers, {"method": method}, maps[0].astype(np.float32).tobytes())


def _classifier(request: Request, loaded: dict[str, Classifier]) -> Classifier:
    version = request["version"]
    if version not in loaded:
        from imgclf.classifiers.loader import load

        if len(loaded) >= MOST_LOADED:
            loaded.clear()
        loaded[version] = load(request["path"])
    return loaded[version]


def _read_pixels(stream: IO[bytes], shape: list[int]) -> NDArray[np.uint8]:
    height, width, channels = shape
    content = stream.read(height * width * channels)
    return np.frombuffer(content, np.uint8).reshape(height, width, channels)


def _answer(stream: IO[bytes], header: dict[str, str], content: bytes = b"") -> None:
    stream.write(json.dumps(header).encode() + b"\n" + content)
    stream.flush()


if __name__ == "__main__":
    main()
