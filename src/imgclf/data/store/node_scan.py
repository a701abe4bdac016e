"""A batch of a scan on a node of a cluster: what Ray runs there, and what it sends back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from imgclf.data.pixels.decoder import DecodingLimits
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.pixels.signatures import SIGNATURE_BYTES
from imgclf.data.reading.archives import find_archive
from imgclf.data.reading.members import Span
from imgclf.data.store.row_files import memory_file
from imgclf.data.store.scan import ScanLimits, scan_files
from imgclf.data.store.scan_results import ScannedFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BatchOrder", "ScannedBatch", "digest_of_files", "scan_batch"]


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """What a node is told to scan; picklable.

    Attributes:
        imgclf: The version that the scan runs with.
        paths: ``(num_files,)`` absolute paths.
        spans: Where each image lies in its tar file; None for files of another kind.
        digest: What `digest_of_files` says of them on the machine that asks.
        policy: What every image is turned into.
        limits: Caps on a file's bytes and pixels.
        scan_limits: Caps on the time and memory that a file may take.
        with_pixels: Whether the pixels are sent back.
    """

    imgclf: str
    paths: tuple[str, ...]
    spans: tuple[Span, ...] | None
    digest: str
    policy: InputPolicy
    limits: DecodingLimits
    scan_limits: ScanLimits
    with_pixels: bool


@dataclass(frozen=True, slots=True)
class ScannedBatch:
    """What a node made of a batch; picklable.

    Attributes:
        refusal: Why the node scans nothing; empty where it did.
        scanned: ``(num_files,)`` results.
        pixels: uint8 ``(num_files * bytes of an image,)``; None where they were not asked for.
        signatures: uint8 ``(num_files * SIGNATURE_BYTES,)``.
    """

    refusal: str = ""
    scanned: Sequence[ScannedFile] = ()
    pixels: NDArray[np.uint8] | None = None
    signatures: NDArray[np.uint8] | None = None


def scan_batch(order: BatchOrder) -> ScannedBatch:
    """Scan files on this node, as `scan_files` does: a decoder that crashes ends nothing else.

    Args:
        order: The files.

    Returns:
        Their results, or why this node cannot scan them.
    """
    if order.imgclf != version("imgclf"):
        return ScannedBatch(f"it has imgclf {version('imgclf')}, not {order.imgclf}")
    if order.digest != digest_of_files(order.paths):
        return ScannedBatch("it does not see the same images under the same path")
    num_files, row_bytes = len(order.paths), int(np.prod(order.policy.pixel_shape))
    with ExitStack() as opened:
        signatures = opened.enter_context(memory_file(num_files * SIGNATURE_BYTES))
        pixels = None
        if order.with_pixels:
            pixels = opened.enter_context(memory_file(num_files * row_bytes))
        results = scan_files(
            order.paths,
            order.policy,
            span_of=order.spans.__getitem__ if order.spans else None,
            pixel_file=None if pixels is None else str(pixels.path),
            signature_file=str(signatures.path),
            limits=order.limits,
            scan_limits=order.scan_limits,
            num_workers=1,
        )
        made = None if pixels is None else pixels.read()
        return ScannedBatch("", list(results), made, signatures.read())


def digest_of_files(paths: Sequence[str]) -> str:
    """Name what lies under paths on this machine, by sizes; of archives that of the whole.

    Args:
        paths: Absolute paths, which may lead through archives.

    Returns:
        A digest.
    """
    sizes = np.fromiter(map(_size_of, paths), np.int64, len(paths))
    return hashlib.sha256(sizes.tobytes()).hexdigest()


def _size_of(path: str) -> int:
    """Return the size of a file; -1 where it is not there, or cannot be read."""
    try:
        size = os.stat(path).st_size  # noqa: PTH116 - a Path costs as much
    except (FileNotFoundError, NotADirectoryError):
        place = find_archive(path)
        return -1 if place is None else _size_of(str(place.archive))
    except (OSError, ValueError):
        return -1
    return size if os.access(path, os.R_OK) else -1
