"""ZIP files that are read without being unpacked: who wrote them is not trusted.

A member is named by a path that leads through the file: ``photos.zip/cat/1.jpg``. Nothing is ever
written, so no name can reach outside; names that try are left out all the same, because
what is called ``../../x`` is no image that anybody meant to give.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

from imgclf.errors import DataError, ImageError

__all__ = [
    "Archive",
    "Folder",
    "Place",
    "find_archive",
    "open_archive",
    "read_member",
    "sort_members",
]

MAX_MEMBERS = 1_000_000
"""Files and folders; those count, too, that only the names of others tell of."""

MAX_DEPTH = 100
"""Folders that a member may lie in."""

MAX_NAME_LENGTH = 1024
"""Characters of a member's name; a path on a disk can have 4,096 bytes in all."""

MAX_DIRECTORY_BYTES = 256 * 1024**2
"""Size of the list of members, which is read whole."""

MAX_EXPANSION = 100
"""How many times as large as the ZIP file its members may be together; photos hardly shrink."""

FREE_BYTES = 1024**3
"""Members may be this large together whatever the ZIP file's size: flat drawings do shrink."""

ACCEPTED_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others are rare, and cannot be read piece by piece: a few bytes could fill the memory."""


SEPARATORS = re.escape(f"{os.sep}{os.altsep or ''}")
_ARCHIVE_NAME = re.compile(rf"[^{SEPARATORS}]\.zip(?=[{SEPARATORS}]|$)", re.IGNORECASE | re.ASCII)

_UNUSUAL_NAME = re.compile(r"\\|//|/\.|^\.|^/|^.:", re.DOTALL)
"""What the name of a member hardly ever has, and never where it can be taken as it is."""

Folder: TypeAlias = "dict[str, Folder | zipfile.ZipInfo]"
"""A folder in a ZIP file: what lies in it by name."""


class Place(NamedTuple):
    """Where a path leads: a ZIP file, and what follows it, with ``/``."""

    archive: Path
    member: str


class MemberStatus(NamedTuple):
    """What tells one version of a member from the next: its size and its archive's times."""

    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int


def find_archive(path: str | os.PathLike[str]) -> Place | None:
    """Find the ZIP file that a path leads to or through.

    Args:
        path: Any path.

    Returns:
        The file whose name ends in ``.zip``, and the rest of the path; None without one.
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


def read_member(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Read one image out of a ZIP file.

    Args:
        path: A path that leads through a ZIP file.
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


def open_archive(path: Path) -> Archive:
    """Open a ZIP file, or find it open: each process reads its list of members once.

    Args:
        path: The file.

    Returns:
        Its members.

    Raises:
        DataError: It is no ZIP file, damaged, or so large unpacked that it must be a trap.
    """
    try:
        info = path.stat()
        # A forked child would share the position in the file with its parent: it opens its own.
        return _open(path, info.st_size, info.st_mtime_ns, info.st_ctime_ns, os.getpid())
    except DataError:
        raise
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(
            f"{path} is no ZIP file, or a damaged one ({error}): copy or download it again."
        ) from error
    except OSError as error:
        raise DataError(f"The ZIP file {path} cannot be read ({error.strerror}).") from error


@lru_cache(maxsize=4)
def _open(path: Path, size: int, mtime_ns: int, ctime_ns: int, _process: int) -> Archive:
    opened = zipfile.ZipFile(_File(path))
    members: dict[str, zipfile.ZipInfo] = {}
    left_out: list[tuple[str, str]] = []
    for info in opened.infolist():
        name = _plain_name(info.filename)
        if name is None:
            left_out.append((info.filename, "unsafe_path"))
        elif stat.S_ISLNK(info.external_attr >> 16):
            left_out.append((name, "link_in_zip"))
        elif name in members and not name.endswith("/"):
            left_out.append((name, "stored_twice"))
        elif len(name) > MAX_NAME_LENGTH or name.count("/") > MAX_DEPTH:
            left_out.append((name, "too_deep"))
        elif name not in ("", "/"):
            members[name] = info
    _refuse_bombs(path, size, members)
    return Archive(path, members, tuple(left_out), opened, (mtime_ns, ctime_ns))


@lru_cache(maxsize=4)
def sort_members(archive: Archive) -> tuple[Folder, tuple[str, ...]]:
    """Put the members of a ZIP file into the folders that their names tell of.

    Args:
        archive: An open ZIP file.

    Returns:
        The folder at the top, and names that have no place in it, because a file is in the way of
        a folder.

    Raises:
        DataError: There are too many folders.
    """
    top: Folder = {}
    clashes = []
    num_folders = 0
    for name, info in archive.members.items():
        *folders, last = name.split("/")  # The name of a folder ends with /: nothing is last.
        inner: Folder | zipfile.ZipInfo = top
        for folder in folders:
            if not isinstance(inner, dict):
                break
            if folder not in inner:
                num_folders += 1
                inner[folder] = {}
            inner = inner[folder]
        if not isinstance(inner, dict) or (last and inner.setdefault(last, info) is not info):
            clashes.append(name)
        if num_folders > MAX_MEMBERS:
            raise DataError(
                f"{archive.path} has more than {MAX_MEMBERS:,} folders: unpack it and give the "
                "folder."
            )
    return top, tuple(clashes)


class _File(io.FileIO):
    """A file that stays open as long as it is remembered, and refuses an endless directory."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read; the largest piece that is read at once is the list of members."""
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"its list of members takes {size:,} bytes")
        return super().read(-1 if size is None else size)

    def __del__(self) -> None:
        """Close it: who forgets it last is a cache, which closes nothing."""
        self.close()


def _plain_name(name: str) -> str | None:
    """Return a member's name with ``/``, without ``./``; None for one that leads elsewhere."""
    if not _UNUSUAL_NAME.search(name):
        return name
    plain = name.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    drive = bool(parts) and len(parts[0]) == 2 and parts[0].endswith(":")
    if plain.startswith("/") or ".." in parts or drive:
        return None
    return "/".join(parts) + ("/" if plain.endswith("/") else "")


def _refuse_bombs(path: Path, size: int, members: dict[str, zipfile.ZipInfo]) -> None:
    if len(members) > MAX_MEMBERS:
        raise DataError(
            f"{path} has {len(members):,} members, more than {MAX_MEMBERS:,}: unpack it and give "
            "the folder."
        )
    unpacked = sum(info.file_size for info in members.values())
    if unpacked > MAX_EXPANSION * size + FREE_BYTES:
        raise DataError(
            f"{path} would be {unpacked / size:,.0f} times as large unpacked, which is what traps "
            "are, not photos: if you trust it, unpack it and give the folder."
        )


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """An open ZIP file; threads may read from it at the same time.

    Attributes:
        path: The file.
        members: Files, and folders whose names end in ``/``, by plain name.
        left_out: Members that are not used, and why: ``"unsafe_path"``, ``"link_in_zip"``,
            ``"too_deep"`` or ``"stored_twice"``.
    """

    path: Path
    members: dict[str, zipfile.ZipInfo]
    left_out: tuple[tuple[str, str], ...]
    _opened: zipfile.ZipFile
    _times_ns: tuple[int, int]

    def status(self, info: zipfile.ZipInfo) -> MemberStatus:
        """Return size and times of a member."""
        return MemberStatus(info.file_size, *self._times_ns)

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a member whole.

        Args:
            name: Its plain name.
            max_bytes: Most bytes that it may have.

        Returns:
            Its content.

        Raises:
            ImageError: It is not there, encrypted, too large or damaged.
        """
        info = self.members.get(name)
        if info is None:
            raise ImageError("not_found", f"it is not in {self.path.name}")
        if info.flag_bits & 0x1:
            raise ImageError("encrypted", "")
        if info.compress_type not in ACCEPTED_COMPRESSIONS:
            method = f"method {info.compress_type}"
            raise ImageError("compression_not_accepted", method)
        if info.file_size > max_bytes:
            raise ImageError("too_many_bytes", f"{info.file_size:,} > {max_bytes:,} bytes")
        if not info.file_size:
            return b""
        try:
            with self._opened.open(info) as member:
                # It gives no more than it states, and checks its sum at the end.
                return member.read(max_bytes + 1)
        except EOFError as error:
            raise ImageError("truncated", str(error)) from error
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
            raise ImageError("corrupt", str(error)) from error
        except OSError as error:
            raise ImageError("unreadable", error.strerror or str(error)) from error
