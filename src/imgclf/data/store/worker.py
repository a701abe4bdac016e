"""A worker process of the scan: reads jobs from standard input, answers on standard output.

`imgclf.data.store.scan` starts it as ``python -m imgclf.data.store.worker``. It decodes files that
may be hostile, so it may crash. It never imports TensorFlow.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any

from imgclf.data.pixels.decoder import (
    REASONS,
    DecodedImage,
    DecodingLimits,
    ImageFacts,
    decode_with_facts,
    read_content,
)
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.pixels.signatures import sign
from imgclf.data.reading.members import Span
from imgclf.errors import ImageError

__all__ = ["Decoder", "main"]

Decoder = Callable[[bytes, InputPolicy, DecodingLimits], DecodedImage]


def main(decoder: Decoder = decode_with_facts) -> None:
    """Answer jobs until standard input ends.

    Args:
        decoder: Decodes a file's content; tests of the scan give a faulty one.
    """
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # Whatever a library prints must not mix with the answers.
    setup = json.loads(jobs.readline())
    _limit_memory(setup["memory_limit_bytes"])
    policy = InputPolicy(**{name: _tupled(value) for name, value in setup["policy"].items()})
    limits = DecodingLimits(**setup["limits"])
    pixels, signatures = _open_rows(setup["pixel_file"]), _open_rows(setup["signature_file"])
    with pixels or nullcontext(), signatures or nullcontext():
        job = _Job(decoder, policy, limits, pixels, signatures)
        _answer(answers, {"ready": True})
        for line in jobs:
            for row, path, *span in json.loads(line):
                _answer(answers, job.scan(row, path, Span(*span) if span else None))


def _tupled(value: Any) -> Any:
    """Give back the tuple that JSON made a list of."""
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class _Job:
    """The work that is done on every file."""

    decoder: Decoder
    policy: InputPolicy
    limits: DecodingLimits
    pixels: IO[bytes] | None
    signatures: IO[bytes] | None

    def scan(self, row: int, path: str, span: Span | None) -> dict[str, Any]:
        """Decode one file, and write its pixels and signature into their rows."""
        try:
            content = read_content(path, self.limits, span)
        except ImageError as error:
            return {"sha256": "", "reason": error.reason, "message": str(error)}
        sha256 = hashlib.sha256(content).hexdigest()
        try:
            image = self.decoder(content, self.policy, self.limits)
        except ImageError as error:
            # The decoder saw bytes without a name; a person needs the name.
            return {"sha256": sha256, "reason": error.reason, "message": _named(path, str(error))}
        except MemoryError:  # Raised where not even the decoder's own handler had room.
            message = _named(path, REASONS["out_of_memory"])
            return {"sha256": sha256, "reason": "out_of_memory", "message": message}
        try:
            if self.pixels is not None:
                _write_row(self.pixels, row, image.image.tobytes())
            if self.signatures is not None:
                _write_row(self.signatures, row, sign(image.image))
        except OSError as error:
            return {"fatal": error.strerror}
        facts = [getattr(image.facts, name) for name in _FACTS]
        return {"sha256": sha256, "facts": facts}


_to_json = json.JSONEncoder(check_circular=False).encode

_FACTS = [field.name for field in fields(ImageFacts)]  # astuple copies, several times as slow


def _named(path: str, message: str) -> str:
    """Put the path into a message about an image that came as bytes."""
    name = repr(os.fsencode(path).decode("utf-8", "backslashreplace"))
    return f"{name}: {message.removeprefix('Image: ')}"


def _write_row(file: IO[bytes], row: int, content: bytes) -> None:
    """Write all bytes of a row; a raw write may take only a part of them."""
    file.seek(row * len(content))
    written = file.write(content)
    while written < len(content):
        written += file.write(memoryview(content)[written:])


def _answer(answers: IO[bytes], answer: dict[str, Any]) -> None:
    # One write for each answer: after a crash, what was answered is complete.
    answers.write(_to_json(answer).encode() + b"\n")


def _open_rows(path: str | None) -> IO[bytes] | None:
    return Path(path).open("r+b", buffering=0) if path else None


def _limit_memory(limit_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Not Unix: no limit to set.
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit_bytes = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    except (OSError, ValueError):  # macOS knows the limit by name only.
        return


if __name__ == "__main__":
    main()
