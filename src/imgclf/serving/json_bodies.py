"""JSON of strangers, read in bounded memory."""

from __future__ import annotations

import json
from typing import Any

from imgclf.serving.problems import Problem

__all__ = ["MOST_BYTES", "read_json"]

MOST_BYTES = 64 * 1024**2
"""Memory that the values of a body may take, besides the texts in it."""

BYTES_OF_A_VALUE = 32
BYTES_OF_A_CONTAINER = 80


def read_json(body: bytes) -> Any:
    """Read JSON that becomes no more than agreed: three bytes, ``[],``, become 64 of Python.

    Args:
        body: The JSON.

    Returns:
        The value.

    Raises:
        Problem: It has too many values.
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    containers = sum(body.count(sign) for sign in (b"[", b"{", b'"'))
    values = body.count(b",")
    if containers * BYTES_OF_A_CONTAINER + values * BYTES_OF_A_VALUE > MOST_BYTES:
        raise Problem(
            "too_many_bytes",
            given=f"JSON with some {values:,} values",
            accepted=f"at most {MOST_BYTES // BYTES_OF_A_VALUE:,}, or fewer that are nested",
            remedy="send files to /predict, or tensors as bytes behind the JSON",
        )
    return json.loads(body)
