"""Paths that lead through an archive: ``photos.zip/cat/1.jpg``, ``shards/00.tar/1.jpg``."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from imgclf.data.reading.parquet_files import open_parquet
from imgclf.data.reading.tar_files import open_tar
from imgclf.data.reading.zip_files import open_zip
from imgclf.errors import DataError, ImageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgclf.data.reading.members import Archive

__all__ = ["Place", "find_archive", "open_archive", "read_member"]

_READERS: dict[str, Callable[[Path], Archive[Any]]] = {
    ".zip": open_zip,
    ".tar": open_tar,
    ".parquet": open_parquet,
}
"""How a file is read, by the ending of its name."""

SEPARATORS = re.escape(f"{os.sep}{os.altsep or ''}")
_ENDINGS = "|".join(map(re.escape, _READERS))
_ARCHIVE_NAME = re.compile(
    rf"[^{SEPARATORS}](?:{_ENDINGS})(?=[{SEPARATORS}]|$)", re.IGNORECASE | re.ASCII
)


class Place(NamedTuple):
    """Where a path leads: an archive, and what follows it, with ``/``."""

    archive: Path
    member: str


def find_archive(path: str | os.PathLike[str]) -> Place | None:
    """Find the archive that a path leads to or through.

    Args:
        path: Any path.

    Returns:
        The file whose name ends in ``.zip``, ``.tar`` or ``.parquet``, and the rest of the path;
        None without one.
    """
    whole = os.fspath(path)
    for found in _ARCHIVE_NAME.finditer(whole):
        archive = whole[: found.end()]
        if os.path.isfile(archive):  # noqa: PTH113 - a Path costs as much as a small member
            parts = re.split(f"[{SEPARATORS}]", whole[found.end() :])
            return Place(
                _path_of(archive), "/".join(part for part in parts if part not in ("", "."))
            )
    return None


@lru_cache(maxsize=4)
def _path_of(archive: str) -> Path:
    return Path(archive)


def open_archive(path: Path) -> Archive[Any]:
    """Open an archive, or find it open: each process reads its list of members once.

    Args:
        path: The file.

    Returns:
        Its members.

    Raises:
        DataError: It is of another format, damaged, or a trap.
    """
    return _READERS[path.suffix.lower()](path)


def read_member(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Read one image out of an archive.

    Args:
        path: A path that leads through one.
        max_bytes: Most bytes that it may have, as stated and in truth.

    Returns:
        Its content.

    Raises:
        ImageError: It is not there, encrypted, too large or damaged.
    """
    place = find_archive(os.fsdecode(path))
    if place is None:
        raise ImageError("not_found", "")
    try:
        archive = open_archive(place.archive)
    except DataError as error:
        raise ImageError("unreadable", str(error)) from error
    return archive.read(place.member, max_bytes)
