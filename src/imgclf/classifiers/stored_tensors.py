"""Tensors as a classifier's file holds them: safetensors, whose header is looked at first."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from imgclf.classifiers.strict_json import parse_json
from imgclf.machine.plain_text import is_plain_text

__all__ = ["Tensors", "load_tensors", "save_tensors"]

Tensors = Mapping[str, NDArray[Any]]

MAX_TENSORS = 10_000
"""Most tensors of one member; the largest networks that Keras publishes have about 2,000."""

MAX_HEADER_BYTES = 4 * 1024**2
MAX_NAME_CHARACTERS = 1_000

LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, then the header, a JSON object."""


def save_tensors(tensors: Tensors) -> bytes:
    """Write tensors as the content of one member."""
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
    _check_header(content)
    try:
        tensors: dict[str, NDArray[Any]] = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError("its tensors are unreadable") from error
    for name, tensor in tensors.items():
        if tensor.dtype.kind in "fc" and not np.isfinite(tensor).all():
            raise ValueError(f"{name} holds values that are not finite")
    return tensors


def _check_header(content: bytes) -> None:
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
