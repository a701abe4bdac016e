"""The feature store: feature vectors of images, cached beside their pixels."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imgclf.data.store import cache
from imgclf.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from imgclf.data.store.pixel_store import StoreMode

__all__ = ["FeatureSet", "keep_features"]

_logger = logging.getLogger(__name__)

ROWS_NAME = "features.f32"
IMAGES_NAME = "images.sha256"
"""32 bytes an image, in the order of the rows."""

Compute = Callable[["NDArray[np.int64]"], Iterable["NDArray[np.float32]"]]
"""From places of images to their rows."""


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Features of certain images, by all that decides them.

    Attributes:
        kind: Hash of what decides a row beside its image: pixels, engine and network.
        images: ``(num_images,)`` sha256 of each image file, in hexadecimal.
        num_features: Numbers in a row.
        source: The folder of the images, which `imgclf cache list` names.
    """

    kind: str
    images: Sequence[str]
    num_features: int
    source: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """``(num_images, num_features)``."""
        return len(self.images), self.num_features

    @property
    def num_bytes(self) -> int:
        """Size of the float32 rows."""
        return 4 * len(self.images) * self.num_features

    @property
    def entry(self) -> str:
        """Name of the cache's entry: those of one kind begin alike."""
        images = hashlib.sha256("".join(self.images).encode()).hexdigest()
        return f"{self.prefix}{images[:16]}"

    @property
    def prefix(self) -> str:
        """How the names of all entries of this kind begin."""
        return f"features-{self.kind[:16]}-"


def keep_features(
    features: FeatureSet, compute: Compute, *, mode: StoreMode = "auto", image_by_image: bool = True
) -> NDArray[np.float32]:
    """Load cached features, or compute and cache them.

    Images that were among those of an earlier entry are not computed again. An entry appears in one
    step, and is listed, cleared and evicted like stored pixels.

    Args:
        features: What is wanted.
        compute: Yields the rows of the images at the places that it is given, in their order, a
            batch ``(batch, num_features)`` at a time.
        mode: ``"disk"`` keeps them in the cache folder, ``"memory"`` and ``"off"`` in this process
            only; ``"auto"`` takes the first that works.
        image_by_image: Whether an image's row does not depend on its neighbours, to the last bit;
            otherwise only the same images in the same order are found again.

    Returns:
        float32 ``(num_images, num_features)``; cached ones are memory-mapped.

    Raises:
        DataError: They cannot be kept on the disk, and `mode` is ``"disk"``.
    """
    if mode in ("memory", "off"):
        return _in_memory(features, compute)
    place = cache.cache_folder() / features.entry
    kept = _open_kept(place, features.num_features, len(features.images))
    if kept is not None:
        return kept
    try:
        _write(place, features, compute, image_by_image)
    except OSError as error:
        problem = f"The features cannot be kept in {place.parent} ({error.strerror})"
        if mode == "disk":
            raise DataError(
                f"{problem}: free some space, set IMGCLF_CACHE_DIR, or use the store 'memory'."
            ) from error
        _logger.warning("%s. Continuing in memory.", problem)
        return _in_memory(features, compute)
    kept = _open_kept(place, features.num_features, len(features.images))
    # None where another process has just cleared the cache.
    return _in_memory(features, compute) if kept is None else kept


def _in_memory(features: FeatureSet, compute: Compute) -> NDArray[np.float32]:
    rows = np.empty(features.shape, np.float32)
    _fill(rows, np.arange(len(rows)), compute)
    return rows


def _fill(rows: NDArray[np.float32], places: NDArray[np.int64], compute: Compute) -> None:
    """Compute the rows at these places."""
    first = 0
    for batch in compute(places) if len(places) else ():
        rows[places[first : first + len(batch)]] = batch
        first += len(batch)


def _copy_known(rows: NDArray[np.float32], features: FeatureSet) -> NDArray[np.int64]:
    """Copy the rows that other entries have, and return the places that are still missing."""
    wanted: dict[bytes, list[int]] = {}
    for place, sha256 in enumerate(features.images):
        wanted.setdefault(bytes.fromhex(sha256), []).append(place)
    for entry in cache.list_cache():
        if not wanted or not entry.path.name.startswith(features.prefix):
            continue
        try:
            images = (entry.path / IMAGES_NAME).read_bytes()
        except OSError:
            continue  # Another process has just cleared it.
        kept = _open_kept(entry.path, features.num_features, len(images) // 32)
        if kept is None:
            continue
        for row in range(len(kept)):
            places = wanted.pop(images[32 * row : 32 * row + 32], None)
            if places:
                rows[places] = kept[row]
    return np.array(sorted(place for places in wanted.values() for place in places), np.int64)


def _open_kept(place: Path, num_features: int, num_images: int) -> NDArray[np.float32] | None:
    """Map cached features; None where they are absent or incomplete."""
    path = place / ROWS_NAME
    try:
        if path.stat().st_size != 4 * num_images * num_features:
            return None
        cache.mark_used(place)
        return np.memmap(path, np.float32, "r", shape=(num_images, num_features))
    except OSError:
        return None


def _write(place: Path, features: FeatureSet, compute: Compute, image_by_image: bool) -> None:
    """Fill a new cache entry beside its final place, then move it there in one step."""
    partial = place.with_name(f"{place.name}{cache.PARTIAL}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        cache.make_room(features.num_bytes)
        partial.mkdir(parents=True)
        cache.note_source(partial, features.source)
        (partial / IMAGES_NAME).write_bytes(bytes.fromhex("".join(features.images)))
        with (partial / ROWS_NAME).open("w+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, features.num_bytes)  # A full disk shows here.
            else:
                file.truncate(features.num_bytes)
            rows = np.memmap(file, np.float32, "r+", shape=features.shape)
            missing = _copy_known(rows, features) if image_by_image else np.arange(len(rows))
            _fill(rows, missing, compute)
            rows.flush()
            os.fsync(file.fileno())
        _publish(partial, place, features)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _publish(partial: Path, place: Path, features: FeatureSet) -> None:
    """Move a finished entry to its place, unless another process was faster."""
    try:
        partial.rename(place)
    except OSError:
        if _open_kept(place, features.num_features, len(features.images)) is None:
            shutil.rmtree(place, ignore_errors=True)  # Damaged, or half cleared.
            partial.rename(place)
