"""ZIP files that are read without being unpacked: who wrote them is not trusted.

A member is named by a path that leads through the file: ``photos.zip/cat/1.jpg``. Nothing is ever
written, so no name can reach outside; names that try are left out all the same, because
what is called ``../../x`` is no image that anybody meant to give.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

from imgclf.data.reading.members import MAX_MEMBERS, Archive, is_too_deep, plain_name
from imgclf.errors import DataError, ImageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ZipArchive", "open_zip"]

MAX_DIRECTORY_BYTES = 256 * 1024**2
"""Size of the list of members, which is read whole."""

MAX_EXPANSION = 100
"""How many times as large as the ZIP file its members may be together; photos hardly shrink."""

FREE_BYTES = 1024**3
"""Members may be this large together whatever the ZIP file's size: flat drawings do shrink."""

ACCEPTED_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others are rare, and cannot be read piece by piece: a few bytes could fill the memory."""


def open_zip(path: Path) -> ZipArchive:
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
def _open(path: Path, size: int, mtime_ns: int, ctime_ns: int, _process: int) -> ZipArchive:
    opened = zipfile.ZipFile(_File(path))
    members: dict[str, zipfile.ZipInfo] = {}
    left_out: list[tuple[str, str]] = []
    for info in opened.infolist():
        name = plain_name(info.filename)
        if name is None:
            left_out.append((info.filename, "unsafe_path"))
        elif stat.S_ISLNK(info.external_attr >> 16):
            left_out.append((name, "link_in_archive"))
        elif name in members and not name.endswith("/"):
            left_out.append((name, "stored_twice"))
        elif is_too_deep(name):
            left_out.append((name, "too_deep"))
        elif name not in ("", "/"):
            members[name] = info
    _refuse_bombs(path, size, members)
    return ZipArchive(path, members, left_out, (mtime_ns, ctime_ns), opened)


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
class ZipArchive(Archive[zipfile.ZipInfo]):
    """An open ZIP file."""

    kind: ClassVar[Literal["zip"]] = "zip"
    _opened: zipfile.ZipFile

    def _size(self, info: zipfile.ZipInfo) -> int:
        return info.file_size

    def _content(self, info: zipfile.ZipInfo, max_bytes: int) -> bytes:
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
