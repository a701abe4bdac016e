"""The images of a search on nodes that do not share the folder: sent to each machine once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from imgclf.data.batches.plan import Plan
from imgclf.data.pixels.decoder import DecodingLimits
from imgclf.data.reading.archives import find_archive, read_member
from imgclf.data.reading.image_folder import ImageFolder
from imgclf.data.reading.layout import read_folder
from imgclf.data.reading.table import find_tables, is_table
from imgclf.data.reading.trees import open_tree
from imgclf.data.store import cache
from imgclf.errors import ArgumentError, DataError, ImageError

__all__ = ["Shipment", "listing_digest", "receive_images", "ship_images"]

PART_BYTES = 64 * 1024**2
"""Size of the pieces that go through the object store, which may write them to disk."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member: equal images give an equal file, which is sent once."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """Images on their way: one ZIP file, in pieces.

    Attributes:
        digest: SHA-256 of the file.
        size_bytes: Its size.
        parts: References to its pieces in the cluster's object store.
    """

    digest: str
    size_bytes: int
    parts: tuple[Any, ...]


def listing_digest(plan: Plan) -> str | None:
    """Name what lies in a plan's folders on this machine, by paths and sizes.

    Args:
        plan: The images.

    Returns:
        A digest; None where a folder is not there, or cannot be used.
    """
    digest = hashlib.sha256()
    try:
        for split, directory in _directories(plan):
            folder = read_folder(directory, min_classes=1)
            digest.update(f"{split} {folder.class_names}\n".encode("utf-8", "surrogateescape"))
            sizes = _sizes(folder)
            for file, size in zip(folder.files, sizes, strict=True):
                entry = f"{file.path} {file.label} {size}\n"
                digest.update(entry.encode("utf-8", "surrogateescape"))
    except (DataError, OSError):
        return None
    return digest.hexdigest()


def ship_images(plan: Plan) -> Shipment:
    """Put a plan's images into the object store of the connected cluster.

    Args:
        plan: The images.

    Returns:
        What `receive_images` takes on a node.

    Raises:
        ArgumentError: Images cannot be sent: they lie outside their folder, or a name is not
            UTF-8.
    """
    import ray

    with tempfile.TemporaryFile(prefix="imgclf-") as file:
        _pack(plan, file)
        size_bytes = file.tell()
        file.seek(0)
        digest, parts = hashlib.sha256(), []
        while part := file.read(PART_BYTES):
            digest.update(part)
            parts.append(ray.put(part))
    return Shipment(digest.hexdigest(), size_bytes, tuple(parts))


def receive_images(shipment: Shipment, plan: Plan) -> Plan:
    """Fetch shipped images into this machine's cache, unless they are there already.

    Args:
        shipment: From `ship_images`.
        plan: The plan that was shipped.

    Returns:
        The plan with the folders of this machine.
    """
    place = cache.cache_folder() / f"images-{shipment.digest[:32]}"
    cache.cache_folder().mkdir(parents=True, exist_ok=True)
    with _one_at_a_time():
        if not (place / "images.zip").is_file():
            _fetch(shipment, place)
        cache.mark_used(place)
    folders: dict[str, Any] = {
        f"{split}_dir": str(place / "images.zip" / split) for split, _ in _directories(plan)
    }
    return replace(plan, **folders)


def _directories(plan: Plan) -> list[tuple[str, str]]:
    given = (("train", plan.train_dir), ("val", plan.val_dir), ("test", plan.test_dir))
    return [(split, directory) for split, directory in given if directory is not None]


def _sizes(folder: ImageFolder) -> Iterator[int]:
    """Yield each file's size; that of the archive for what lies in one."""
    for path in folder.paths:
        place = find_archive(path) if folder.kind == "zip" else None
        yield os.stat(path if place is None else place.archive).st_size  # noqa: PTH116


def _pack(plan: Plan, file: BinaryIO) -> None:
    """Write the images that are used, with their paths, and nothing else."""
    limit = DecodingLimits().max_bytes
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for split, directory in _directories(plan):
            folder = read_folder(directory, min_classes=1)
            for member, path in _members(folder, directory):
                _require_portable(member)
                with suppress(ImageError, OSError):  # No trial could use it either.
                    content = (
                        Path(path).read_bytes()
                        if find_archive(path) is None
                        else read_member(path, limit)
                    )
                    archive.writestr(zipfile.ZipInfo(f"{split}/{member}", EPOCH), content)


def _members(folder: ImageFolder, directory: str) -> Iterator[tuple[str, str]]:
    """Yield path in the folder, and absolute path, of its images and of the table of them."""
    if is_table(directory):
        yield Path(directory).name, directory
    elif folder.kind == "zip":
        for name in find_tables(open_tree(folder.root)):
            yield name, str(folder.root / name)
    for file, path in zip(folder.files, folder.paths, strict=True):
        yield file.path, path


def _require_portable(member: str) -> None:
    if Path(member).is_absolute() or ".." in Path(member).parts:
        raise ArgumentError(
            f"The image {member} lies outside the folder of its CSV file, and cannot be sent to "
            "the nodes: put it there, or put all images at the same paths on every node."
        )
    try:
        member.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"The name {member.encode('utf-8', 'surrogateescape')!r} is not UTF-8, and cannot be "
            "sent to the nodes: rename the file."
        ) from error


def _fetch(shipment: Shipment, place: Path) -> None:
    import ray

    partial = place.with_name(f"{place.name}{cache.PARTIAL}{os.getpid()}")
    cache.make_room(shipment.size_bytes)
    partial.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    with (partial / "images.zip").open("wb") as file:
        for reference in shipment.parts:
            part = ray.get(reference)
            digest.update(part)
            file.write(part)
    if digest.hexdigest() != shipment.digest:
        raise DataError("The images came damaged from the cluster's object store.")
    partial.rename(place)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let the other processes of this machine wait: one fetches for all."""
    handle = os.open(cache.cache_folder(), os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # The system frees it where the process dies.
        yield
    finally:
        os.close(handle)
