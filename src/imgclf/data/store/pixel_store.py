"""The pixel store: decoded pixels of a folder in one memory-mapped file."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from imgclf.data.pixels.decoder import (
    DECODER_VERSION,
    DecodingLimits,
    decode,
    read_content,
)
from imgclf.data.pixels.signatures import SIGNATURE_BYTES
from imgclf.data.store import cache
from imgclf.data.store.cluster_scan import ClusterScan
from imgclf.data.store.index import read_index, write_index
from imgclf.data.store.journal import Journal, open_journal
from imgclf.data.store.row_files import memory_file, new_file
from imgclf.data.store.scan import ScanLimits, scan_files
from imgclf.data.store.scan_results import ScanResults
from imgclf.errors import ArgumentError, ClusterError, DataError, ImageError
from imgclf.machine.hardware import available_processors, read_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.clusters.connection import Cluster
    from imgclf.data.pixels.input_policy import InputPolicy
    from imgclf.data.reading.image_folder import ImageFolder

__all__ = ["PixelSource", "PixelStore", "StoreMode", "open_store"]

StoreMode = Literal["auto", "memory", "disk", "off"]
Progress = Callable[[int, int], None]

STORE_VERSION = 5
"""Raised when the layout of the files changes, or more files are accepted; part of the key."""

MEMORY_SHARE = 0.4
"""Share of the free memory (or disk) that ``"auto"`` lets pixels take."""


_logger = logging.getLogger(__name__)


class _NoRoomError(DataError):
    """Pixels do not fit where they were to be kept."""


class PixelSource(Protocol):
    """Where batches take decoded pixels from."""

    def rows(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Return images, ``(len(indices), height, width, channels)``, 0..255."""
        ...


@dataclass(frozen=True, slots=True)
class StoredPixels:
    """Pixels in one array, usually a memory-mapped file."""

    array: NDArray[np.uint8]

    def rows(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Copy images out of the array."""
        chosen: NDArray[np.uint8] = self.array[indices]
        return chosen


@dataclass(frozen=True, slots=True)
class StreamedPixels:
    """Pixels decoded anew at each access, for folders that are too large to keep."""

    folder: ImageFolder
    policy: InputPolicy
    limits: DecodingLimits
    pool: ThreadPoolExecutor

    def rows(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Decode images in threads; Pillow releases the interpreter while it decodes."""
        return np.stack(list(self.pool.map(self._decode, indices)))

    def _decode(self, index: int) -> NDArray[np.uint8]:
        path, span = self.folder.paths[index], self.folder.files.span(index)
        try:
            if span is None:
                return decode(path, self.policy, self.limits)
            return decode(read_content(path, self.limits, span), self.policy, self.limits)
        except ImageError as error:
            # The decoder saw bytes without a name; a person needs the name.
            message = str(error).replace("Image: ", f"{path!r}: ", 1)
            raise DataError(
                f"{message} It was readable when the folder was scanned: leave the folder as it is "
                "while training."
            ) from error


@dataclass(frozen=True, slots=True)
class PixelStore:
    """The scan of one folder: results, signatures and pixels.

    Attributes:
        folder: The folder that was scanned.
        scanned: ``(num_files,)`` results, in the order of ``folder.files``.
        signatures: uint8 ``(num_files, SIGNATURE_BYTES)``, by which copies are recognised.
        pixels: Where the pixels of the accepted files come from, by index into ``folder.files``.
        mode: Where the pixels are: ``"memory"``, ``"disk"`` or ``"off"``.
        reused: Whether an earlier scan was found and nothing was decoded.
    """

    folder: ImageFolder
    scanned: ScanResults
    signatures: NDArray[np.uint8]
    pixels: PixelSource
    mode: StoreMode
    reused: bool


def open_store(
    folder: ImageFolder,
    policy: InputPolicy,
    *,
    mode: StoreMode = "auto",
    limits: DecodingLimits | None = None,
    scan_limits: ScanLimits | None = None,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
) -> PixelStore:
    """Scan a folder, or find the pixels of an earlier scan of the same files.

    Args:
        folder: What `imgclf.data.reading.layout.read_folder` returned.
        policy: Size, channels and resizing of every image.
        mode: ``"disk"`` keeps pixels in the cache folder for later runs, ``"memory"`` for this
            process only, ``"off"`` decodes them again in each epoch; ``"auto"`` takes the first
            that fits.
        limits: Caps on a file's bytes and pixels.
        scan_limits: Caps on the time and memory that a file may cost.
        progress: Called now and then with the number of files done and in all.
        cluster: The cluster whose nodes decode the images, where they see them under the same
            paths; None decodes on this machine.

    Returns:
        The store.

    Raises:
        ArgumentError: `mode` is none of these.
        DataError: The pixels do not fit where `mode` says, or workers cannot be started.
        ClusterError: The cluster does not answer.
    """
    if mode not in ("auto", "memory", "disk", "off"):
        raise ArgumentError(
            f"store={mode!r} is not accepted: give 'auto', 'memory', 'disk' or 'off'."
        )
    limits = limits or DecodingLimits()
    size_bytes = len(folder.files) * int(np.prod(policy.pixel_shape))
    key = _key(folder, policy, limits)
    place = cache.cache_folder() / key
    if mode in ("auto", "disk") and (kept := _open_kept(place, folder, policy)):
        return kept
    scanner = _Scanner(folder, policy, limits, scan_limits or ScanLimits(), progress, cluster)
    if mode == "auto":
        return _open_where_it_fits(scanner, place, size_bytes)
    if mode == "disk":
        return scanner.to_disk(place, size_bytes)
    if mode == "memory":
        return scanner.to_memory(size_bytes)
    return scanner.to_nowhere()


def _open_where_it_fits(scanner: _Scanner, place: Path, size_bytes: int) -> PixelStore:
    """Try disk, memory, then decoding anew; the estimates can be wrong, as under a quota."""
    if size_bytes <= _room_on_disk():
        try:
            return scanner.to_disk(place, size_bytes)
        except _NoRoomError as error:
            _logger.warning("%s Continuing without it.", error)
    if size_bytes <= MEMORY_SHARE * (read_memory()[1] or 0):
        try:
            return scanner.to_memory(size_bytes)
        except _NoRoomError as error:
            _logger.warning("%s Continuing without it.", error)
    return scanner.to_nowhere()


def _key(folder: ImageFolder, policy: InputPolicy, limits: DecodingLimits) -> str:
    """Hash everything that decides the pixels; a file's version stands for its content."""
    decided_by = asdict(policy)
    del decided_by["data_format"]  # Axes are turned when batches are made.
    digest = hashlib.sha256()
    header = (
        STORE_VERSION,
        DECODER_VERSION,
        decided_by,
        asdict(limits),
        str(folder.root.resolve()),
    )
    digest.update(json.dumps(header, sort_keys=True).encode())
    for file in folder.files:
        entry = f"\n{file.path}\0{file.version}"
        digest.update(entry.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _room_on_disk() -> float:
    """Return the bytes that pixels may take on the cache's disk; 0 where nothing can be written."""
    place = cache.cache_folder()
    existing = next(parent for parent in (place, *place.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        return 0
    return min(MEMORY_SHARE * shutil.disk_usage(existing).free, cache.MAX_CACHE_BYTES)


def _open_kept(place: Path, folder: ImageFolder, policy: InputPolicy) -> PixelStore | None:
    """Open the pixels of an earlier scan; None where they are absent or incomplete."""
    num_files = len(folder.files)
    try:
        scanned = read_index(place / "index.jsonl", num_files)
        pixels = _map(place / "pixels.u8", (num_files, *policy.pixel_shape))
        signatures = _map(place / "signatures.u8", (num_files, SIGNATURE_BYTES))
        cache.mark_used(place)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # Absent, just evicted, or of another format: scan again.
    return PixelStore(folder, scanned, signatures, StoredPixels(pixels), "disk", reused=True)


def _map(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Map a file of pixels; `ValueError` where its size is another."""
    if path.stat().st_size != int(np.prod(shape)):
        raise ValueError(path)
    return np.memmap(path, np.uint8, "r", shape=shape)


@dataclass(frozen=True, slots=True)
class _Scanner:
    """A scan to be made; each method keeps the pixels in another place."""

    folder: ImageFolder
    policy: InputPolicy
    limits: DecodingLimits
    scan_limits: ScanLimits
    progress: Progress | None
    cluster: Cluster | None

    def to_disk(self, place: Path, size_bytes: int) -> PixelStore:
        """Keep the pixels in a cache entry, and map its files."""
        self._fill_place(place, size_bytes)
        # The results are read from there: what the scan itself held of each file is gone by now.
        kept = _open_kept(place, self.folder, self.policy)
        if kept is None:  # Just evicted or cleared by another process.
            return self.to_memory(size_bytes)
        return replace(kept, reused=False)

    def _fill_place(self, place: Path, size_bytes: int) -> None:
        """Fill a cache entry beside its final place, then move it there in one step.

        Where the scan is interrupted, the next one goes on with what is there.
        """
        partial = place.with_name(f"{place.name}{cache.PARTIAL}scan")
        try:
            cache.make_room(size_bytes)
            partial.mkdir(parents=True, exist_ok=True)
            os.utime(partial)  # Or it would count as abandoned in the middle of the scan.
            rows = {"pixels.u8": size_bytes, "signatures.u8": self.signature_bytes}
            with open_journal(partial, len(self.folder.files), rows) as journal:
                if journal is None:  # Another process is filling it.
                    partial = place.with_name(
                        f"{place.name}{cache.PARTIAL}{os.getpid()}-{secrets.token_hex(4)}"
                    )
                    partial.mkdir()
                try:
                    cache.note_source(partial, str(self.folder.root))
                    self._fill(partial, size_bytes, journal)
                    (partial / cache.JOURNAL).unlink(missing_ok=True)
                    self._publish(partial, place)
                    shutil.rmtree(partial, ignore_errors=True)  # Another process was faster.
                except BaseException as error:
                    # Without a journal nobody could go on; a full disk needs the room.
                    full = isinstance(error, OSError) and not isinstance(error, ClusterError)
                    if journal is None or full:
                        shutil.rmtree(partial, ignore_errors=True)
                    raise
        except ClusterError:  # An OSError, too: a connection.
            raise
        except OSError as error:
            raise _NoRoomError(
                f"The pixels of {self.folder.root} cannot be kept in {place.parent} "
                f"({error.strerror}): free some space, set IMGCLF_CACHE_DIR, or use the store "
                "'memory' or 'off'."
            ) from error

    def _fill(self, partial: Path, size_bytes: int, journal: Journal | None) -> None:
        with (
            new_file(partial / "pixels.u8", size_bytes, kept=journal is not None) as pixels,
            new_file(
                partial / "signatures.u8", self.signature_bytes, kept=journal is not None
            ) as signatures,
        ):
            write_index(partial / "index.jsonl", self._scan(pixels, signatures, journal))

    def to_memory(self, size_bytes: int) -> PixelStore:
        """Fill an anonymous file in memory."""
        shape = (len(self.folder.files), *self.policy.pixel_shape)
        try:
            with (
                memory_file(size_bytes) as pixels,
                memory_file(self.signature_bytes) as signatures,
            ):
                scanned = self._scan(pixels.path, signatures.path)
                stored = StoredPixels(pixels.read().reshape(shape))
                return self._store(scanned, signatures.read(), stored, "memory")
        except ClusterError:
            raise
        except (OSError, MemoryError) as error:
            raise _NoRoomError(
                f"The pixels of {self.folder.root} need {size_bytes / 1e9:.1f} GB, which do not "
                f"fit into memory ({error}): use the store 'disk' or 'off'."
            ) from error

    def to_nowhere(self) -> PixelStore:
        """Check the files; their pixels are decoded anew at each access."""
        with memory_file(self.signature_bytes) as signatures:
            scanned = self._scan(None, signatures.path)
            content = signatures.read()
        pool = ThreadPoolExecutor(available_processors(), thread_name_prefix="imgclf-decode")
        pixels = StreamedPixels(self.folder, self.policy, self.limits, pool)
        return self._store(scanned, content, pixels, "off")

    @property
    def signature_bytes(self) -> int:
        """Size of all signatures."""
        return len(self.folder.files) * SIGNATURE_BYTES

    def _store(
        self,
        scanned: ScanResults,
        signatures: NDArray[np.uint8],
        pixels: PixelSource,
        mode: StoreMode,
    ) -> PixelStore:
        rows = signatures.reshape(-1, SIGNATURE_BYTES)
        return PixelStore(self.folder, scanned, rows, pixels, mode, reused=False)

    def _publish(self, partial: Path, place: Path) -> None:
        """Move a finished entry to its place, unless another process was faster."""
        try:
            partial.rename(place)
        except OSError:
            if _open_kept(place, self.folder, self.policy) is None:
                shutil.rmtree(place, ignore_errors=True)  # Damaged, or half cleared.
                partial.rename(place)

    def _scan(
        self, pixels: Path | None, signatures: Path, journal: Journal | None = None
    ) -> ScanResults:
        known = journal.known if journal else ScanResults(len(self.folder.files))
        pixel_file = None if pixels is None else str(pixels)
        keep = journal.keep if journal else None
        if self.cluster is not None:
            ClusterScan(
                self.cluster,
                self.folder.paths,
                self.policy,
                self.limits,
                self.scan_limits,
                self.folder.files.span,
                known,
                pixel_file,
                str(signatures),
                self.progress,
                keep,
            ).run()
        return scan_files(
            self.folder.paths,
            self.policy,
            span_of=self.folder.files.span,
            pixel_file=pixel_file,
            signature_file=str(signatures),
            limits=self.limits,
            scan_limits=self.scan_limits,
            progress=self.progress,
            known=known,
            keep=keep,
        )
