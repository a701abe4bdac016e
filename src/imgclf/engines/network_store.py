"""The network store: converted networks, cached beside pixels and features."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from imgclf.data.store import cache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["find_network", "keep_network"]

_logger = logging.getLogger(__name__)

CONTENT, HASH = "network", "sha256"
"""Names of an entry's two files."""


def keep_network(key: str, convert: Callable[[], bytes]) -> bytes:
    """Read a cached network, or convert and cache it.

    An entry appears in one step, and is listed, cleared and evicted like stored pixels. Its hash is
    compared when it is read, because an engine may crash on damaged content. A cache that cannot
    be written is no obstacle.

    Args:
        key: Hash of everything that decides the content: network, format and converter.
        convert: Makes the content; it is called only where nothing whole is kept.

    Returns:
        The content.
    """
    place = _place(key)
    kept = _read(place)
    if kept is not None:
        return kept
    if place.exists():
        _logger.warning("%s is damaged: the network is converted again.", place)
    content = convert()
    try:
        _write(place, content)
    except OSError as error:
        _logger.info(
            "The converted network cannot be kept in %s (%s): it is made anew next time.",
            place.parent,
            error.strerror,
        )
    return content


def find_network(key: str) -> bytes | None:
    """Read a cached network.

    Args:
        key: As for `keep_network`.

    Returns:
        The content; None where nothing whole is kept.
    """
    return _read(_place(key))


def _place(key: str) -> Path:
    return cache.cache_folder() / f"network-{key[:32]}"


def _read(place: Path) -> bytes | None:
    """Read an entry; None where it is absent or damaged."""
    try:
        content = (place / CONTENT).read_bytes()
        expected = (place / HASH).read_bytes()
        cache.mark_used(place)
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest().encode() == expected else None


def _write(place: Path, content: bytes) -> None:
    """Write a new entry beside its final place, then move it there in one step."""
    partial = place.with_name(f"{place.name}{cache.PARTIAL}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        cache.make_room(len(content))
        partial.mkdir(parents=True)
        (partial / HASH).write_text(hashlib.sha256(content).hexdigest())
        with (partial / CONTENT).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            partial.rename(place)
        except OSError:  # Another process was faster, or what is there is damaged.
            if _read(place) is None:
                shutil.rmtree(place, ignore_errors=True)
                partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
