"""Tensors as a classifier's file holds them: safetensors, whose header is looked at first."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from imgclf.classifiers.strict_json import parse_json
from imgclf.machine.plain_text import is_plain_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Tensors", "count_values", "load_tensors", "save_tensors"]

Tensors = Mapping[str, "NDArray[Any]"]

MAX_TENSORS = 10_000
"""Most tensors of one member; the largest networks that Keras publishes have about 2,000."""

MAX_HEADER_BYTES = 4 * 1024**2
MAX_NAME_CHARACTERS = 1_000

LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, then the header, a JSON object."""


def save_tensors(tensors: Tensors) -> bytes:
    """Write tensors as the content of one member."""
    import safetensors.numpy

    content: bytes = safetensors.numpy.save(dict(tensors))
    return content


def load_tensors(content: bytes) -> dict[str, NDArray[Any]]:
    """Read tensors that were written by a stranger.

    Args:
        content: What `save_tensors` returned.

    Returns:
        The tensors by name; all values are finite.

    Raises:
        ValueError: They are too many, not readable, or hold values that are not finite.
    """
    import numpy as np  # `imgclf info`, which counts values, answers sooner without it.
    import safetensors.numpy

    _read_header(content)
    try:
        tensors: dict[str, NDArray[Any]] = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError("its tensors are unreadable") from error
    for name, tensor in tensors.items():
        if tensor.dtype.kind in "fc" and not np.isfinite(tensor).all():
            raise ValueError(f"{name} holds values that are not finite")
    return tensors


def count_values(content: bytes) -> int:
    """Count the values of tensors by what their header says; they themselves are not read.

    Args:
        content: What `save_tensors` returned.

    Returns:
        The number of values in all tensors.

    Raises:
        ValueError: The header is not one of tensors.
    """
    header = _read_header(content)
    header.pop("__metadata__", None)
    try:
        return sum(math.prod(map(int, tensor["shape"])) for tensor in header.values())
    except (KeyError, TypeError) as error:
        raise ValueError("its tensors are unreadable") from error


def _read_header(content: bytes) -> dict[str, Any]:
    """Count and read the names before safetensors does: 300,000 tensors take it half a minute."""
    if len(content) < LENGTH_BYTES:
        raise ValueError("its tensors are unreadable")
    (length,) = struct.unpack_from("<Q", content)
    if length > min(MAX_HEADER_BYTES, len(content) - LENGTH_BYTES):
        raise ValueError("its list of tensors is too long")
    header = parse_json(content[LENGTH_BYTES : LENGTH_BYTES + length])
    if not isinstance(header, dict):
        raise ValueError("its tensors are unreadable")  # noqa: TRY004 - the file is wrong
    if len(header) > MAX_TENSORS:
        raise ValueError(f"it has {len(header):,} tensors, more than {MAX_TENSORS:,}")
    for name in header:
        if len(name) > MAX_NAME_CHARACTERS or not is_plain_text(name):
            raise ValueError("the name of a tensor is no name")
    return header
