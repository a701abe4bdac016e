"""One decoding process: reads jobs from standard input, answers on standard output.

Started as ``python -m imgclf.data.worker`` by `imgclf.data.scanning`. It decodes files that may be
hostile, so it is the process that may crash. It never imports TensorFlow.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import astuple
from typing import IO, Any

from imgclf.data.decoding import DecodingLimits, decode_with_facts, read_content
from imgclf.data.policy import InputPolicy
from imgclf.errors import ImageError


def main() -> None:
    """Answer jobs until standard input ends."""
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # Whatever a library prints must not mix with the answers.
    order = json.loads(jobs.readline())
    _limit_memory(order["memory_limit_bytes"])
    policy = InputPolicy(**{**order["policy"], "image_size": tuple(order["policy"]["image_size"])})
    limits = DecodingLimits(**order["limits"])
    _answer(answers, {"ready": True})
    with _open_pixels(order["pixel_file"]) as pixels:
        for line in jobs:
            for row, path in json.loads(line):
                _answer(answers, _scan(row, path, policy, limits, pixels))


def _scan(
    row: int, path: str, policy: InputPolicy, limits: DecodingLimits, pixels: IO[bytes]
) -> dict[str, Any]:
    """Decode one file and put its pixels into its row of the pixel file."""
    sha256 = ""
    try:
        content = read_content(path, limits)
        sha256 = hashlib.sha256(content).hexdigest()
        image = decode_with_facts(content, policy, limits)
    except ImageError as error:
        return {"sha256": sha256, "reason": error.reason, "message": str(error)}
    try:
        pixels.seek(row * image.pixels.nbytes)
        pixels.write(image.pixels.data)
    except OSError as error:
        return {"fatal": error.strerror}
    return {"sha256": sha256, "facts": astuple(image.facts)}


def _answer(answers: IO[bytes], answer: dict[str, Any]) -> None:
    # One write for each answer: after a crash, what was answered is complete.
    answers.write(json.dumps(answer).encode() + b"\n")


def _open_pixels(path: str | None) -> IO[bytes]:
    return open(path or os.devnull, "r+b", buffering=0)  # noqa: PTH123 - path may be the null device


def _limit_memory(limit_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Not Unix: no limit to set.
        return
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


if __name__ == "__main__":
    main()
