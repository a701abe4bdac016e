"""The feature store: feature vectors of images, cached beside their pixels."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from typing import TYPE_CHECKING

import numpy as np

from imgclf.data.store import cache
from imgclf.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from imgclf.data.store.pixel_store import StoreMode

__all__ = ["keep_features"]

_logger = logging.getLogger(__name__)


def keep_features(
    key: str,
    shape: tuple[int, int],
    compute: Callable[[], Iterable[NDArray[np.float32]]],
    *,
    mode: StoreMode = "auto",
) -> NDArray[np.float32]:
    """Load cached features, or compute and cache them.

    An entry appears in one step, and is listed, cleared and evicted like stored pixels.

    Args:
        key: Hash of everything that decides the features: images, pixels and network.
        shape: ``(num_images, num_features)``.
        compute: Yields the rows in order, a batch ``(batch, num_features)`` at a time; it is called
            only where nothing is kept.
        mode: ``"disk"`` keeps them in the cache folder, ``"memory"`` and ``"off"`` in this process
            only; ``"auto"`` takes the first that works.

    Returns:
        float32 ``(num_images, num_features)``; cached ones are memory-mapped.

    Raises:
        DataError: They cannot be kept on the disk, and `mode` is ``"disk"``.
    """
    if mode in ("memory", "off"):
        return _in_memory(shape, compute)
    place = cache.cache_folder() / key
    kept = _open_kept(place, shape)
    if kept is not None:
        return kept
    try:
        _write(place, shape, compute)
    except OSError as error:
        problem = f"The features cannot be kept in {place.parent} ({error.strerror})"
        if mode == "disk":
            raise DataError(
                f"{problem}: free some space, set IMGCLF_CACHE_DIR, or use the store 'memory'."
            ) from error
        _logger.warning("%s. Going on in memory.", problem)
        return _in_memory(shape, compute)
    kept = _open_kept(place, shape)
    # None where another process has just cleared the cache.
    return _in_memory(shape, compute) if kept is None else kept


def _in_memory(
    shape: tuple[int, int], compute: Callable[[], Iterable[NDArray[np.float32]]]
) -> NDArray[np.float32]:
    features = np.empty(shape, np.float32)
    _fill(features, compute)
    return features


def _fill(
    features: NDArray[np.float32], compute: Callable[[], Iterable[NDArray[np.float32]]]
) -> None:
    first = 0
    for rows in compute():
        features[first : first + len(rows)] = rows
        first += len(rows)


def _open_kept(place: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Map cached features; None where they are absent or incomplete."""
    path = place / "features.f32"
    try:
        if path.stat().st_size != 4 * shape[0] * shape[1]:
            return None
        cache.mark_used(place)
        return np.memmap(path, np.float32, "r", shape=shape)
    except OSError:
        return None


def _write(
    place: Path, shape: tuple[int, int], compute: Callable[[], Iterable[NDArray[np.float32]]]
) -> None:
    """Fill a new cache entry beside its final place, then move it there in one step."""
    partial = place.with_name(f"{place.name}{cache.PARTIAL}{os.getpid()}-{secrets.token_hex(4)}")
    num_bytes = 4 * shape[0] * shape[1]
    try:
        cache.make_room(num_bytes)
        partial.mkdir(parents=True)
        with (partial / "features.f32").open("w+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, num_bytes)  # A full disk shows here.
            else:
                file.truncate(num_bytes)
            features = np.memmap(file, np.float32, "r+", shape=shape)
            _fill(features, compute)
            features.flush()
            os.fsync(file.fileno())
        _publish(partial, place, shape)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _publish(partial: Path, place: Path, shape: tuple[int, int]) -> None:
    """Move a finished entry to its place, unless another process was faster."""
    try:
        partial.rename(place)
    except OSError:
        if _open_kept(place, shape) is None:
            shutil.rmtree(place, ignore_errors=True)  # Damaged, or half cleared.
            partial.rename(place)
