"""Tar files that are read without being unpacked: who wrote them is not trusted.

Only uncompressed ones: of these each member is a piece of the file, read with one call. Nothing is
ever written, and links, devices and names that lead elsewhere are left out. A damaged part costs
what lies in it: the search goes on at the next header.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from imgclf.data.reading.members import (
    MAX_MEMBERS,
    Archive,
    Span,
    is_too_deep,
    plain_name,
)
from imgclf.errors import DataError, ImageError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path
    from typing import Self

__all__ = ["DAMAGED", "Listed", "TarArchive", "list_tar", "open_tar", "read_span"]

DAMAGED = "damaged_archive"
"""The reason for a part that is no tar file; it has no name."""

LARGEST_HEADER = 64 * 1024
"""Bytes of a header's extension, such as an endless name: tar reads it whole."""

_NOT_TAR = (tarfile.TarError, ValueError, ArithmeticError, LookupError, EOFError)
"""What `tarfile` raises on content that no tar program wrote."""

_SEARCHED_AT_ONCE = 1024**2

_MAGIC_OFFSET = 257
"""Where a header, at a multiple of 512, has the word ``ustar``."""


class Listed(NamedTuple):
    """A member of a tar file: its plain name, and its bytes or why it is left out."""

    name: str
    span: Span | None
    reason: str = ""


def list_tar(path: str | os.PathLike[str]) -> Iterator[Listed]:
    """List the files in a tar file, in their order; memory stays flat.

    Args:
        path: The file.

    Yields:
        The members; those that are left out with a reason, each damaged part as `DAMAGED`.

    Raises:
        OSError: The file cannot be read.
    """
    with _Guarded(io.FileIO(path)) as file:
        size = os.fstat(file.fileno()).st_size
        start: int | None = 0
        while start is not None and start < size:
            end = yield from _list_from(file, start, size)
            if end is not None and (end == size or _is_end(file, end)):
                return
            yield Listed("", None, DAMAGED)
            start = _next_header(file, max(start, end or 0) + tarfile.BLOCKSIZE)


def _list_from(file: _Guarded, start: int, size: int) -> Generator[Listed, None, int | None]:
    """List members from a header on; return where the next would begin, None for damage."""
    end = start
    try:
        file.seek(start)
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as opened:
            while (info := opened.next()) is not None:
                opened.members.clear()  # type: ignore[attr-defined]  # or it remembers all of them
                if info.size < 0 or info.offset < end or info.offset_data <= info.offset:
                    return None  # It would lead back, and never end.
                end = info.offset_data
                if info.isdir():
                    continue
                listed = _judge(info)
                if listed.span is not None:
                    end += -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                    if end - size >= tarfile.BLOCKSIZE or sum(listed.span) > size:
                        yield Listed(listed.name, None, "cut_off")
                        return size
                yield listed
            return int(opened.offset)
    except _NOT_TAR:
        return None


class _Header(tarfile.TarInfo):
    """A header of which no more is read than is used here: `tarfile` takes three times as long."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header; whatever is not the plainest kind of a file is left to `tarfile`."""
        is_plain = len(buf) == tarfile.BLOCKSIZE and buf[_TYPE] == _FILE and not buf[_PREFIX]
        if is_plain and buf.startswith(b"ustar", _MAGIC_OFFSET):
            try:
                checksum = int(buf[_CHECKSUM].rstrip(b" \0"), 8)
                size = int(buf[_SIZE].rstrip(b" \0"), 8)
            except ValueError:
                return super().frombuf(buf, encoding, errors)
            if checksum == _checksum(buf):
                header = cls(buf[:_NAME_BYTES].split(b"\0", 1)[0].decode(encoding, errors))
                header.size = size
                return header
        return super().frombuf(buf, encoding, errors)


_NAME_BYTES = 100
_CHECKSUM, _SIZE = slice(148, 156), slice(124, 136)
_TYPE, _PREFIX = 156, 345
_FILE = ord(tarfile.REGTYPE)
"""Where a header has what (POSIX.1-1988, ustar), and the type of a file."""


def _checksum(header: bytes | bytearray) -> int:
    """Return the sum of a header's bytes, that of the checksum's own taken as blanks."""
    others = header[: _CHECKSUM.start] + header[_CHECKSUM.stop :]
    # Most bytes are zero; dropping them first is several times as fast as adding them.
    return 8 * ord(" ") + sum(others.translate(None, b"\0"))


def _judge(info: tarfile.TarInfo) -> Listed:
    name = plain_name(info.name)
    if name is None:
        return Listed(info.name, None, "unsafe_path")
    if info.type != tarfile.REGTYPE:
        if info.issym() or info.islnk():
            return Listed(name, None, "link_in_archive")
        if not info.isreg():
            return Listed(name, None, "no_plain_file")
    if info.issparse():
        return Listed(name, None, "no_plain_file")
    if is_too_deep(name):
        return Listed(name, None, "too_deep")
    return Listed(name, Span(info.offset_data, info.size))


def _is_end(file: _Guarded, end: int) -> bool:
    """Tell whether a block of zeros ends the tar file here."""
    file.seek(end)
    return not any(file.read(tarfile.BLOCKSIZE))


def _next_header(file: _Guarded, start: int) -> int | None:
    """Find what looks like a header, at a multiple of 512; `tarfile` judges whether it is one."""
    start = -(-start // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    while content := file.read_at(start, _SEARCHED_AT_ONCE + tarfile.BLOCKSIZE):
        place = content.find(b"ustar")
        while place >= 0:
            if (place - _MAGIC_OFFSET) % tarfile.BLOCKSIZE == 0:
                return start + place - _MAGIC_OFFSET
            place = content.find(b"ustar", place + 1)
        start += _SEARCHED_AT_ONCE
    return None


class _Guarded(io.BufferedReader):
    """A file of which nobody reads much at once: headers are small, whatever they say."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read a part of it."""
        if size is None or not 0 <= size <= LARGEST_HEADER:
            raise tarfile.ReadError(f"a header takes {size} bytes")
        return super().read(size)

    def read_at(self, offset: int, size: int) -> bytes:
        """Read a part of any size."""
        self.seek(offset)
        return super().read(size)


def open_tar(path: Path) -> TarArchive:
    """Open a tar file, or find its list of members: each process makes it once.

    Args:
        path: The file.

    Returns:
        Its members.

    Raises:
        DataError: It is no uncompressed tar file, or has too many members.
    """
    try:
        info = path.stat()
        return _open(path, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
    except OSError as error:
        raise DataError(f"The tar file {path} cannot be read ({error.strerror}).") from error


@lru_cache(maxsize=4)
def _open(path: Path, _size: int, mtime_ns: int, ctime_ns: int) -> TarArchive:
    members: dict[str, Span] = {}
    left_out: list[tuple[str, str]] = []
    for name, span, reason in list_tar(path):
        if span is None:
            left_out.append((name or path.name, reason))
        elif name in members:
            left_out.append((name, "stored_twice"))
        else:
            members[name] = span
        if len(members) + len(left_out) > MAX_MEMBERS:
            raise DataError(
                f"{path} has more than {MAX_MEMBERS:,} members: make shards of it, or unpack it "
                "and give the folder."
            )
    if not members and (path.name, DAMAGED) in left_out:
        raise DataError(
            f"{path} is no tar file, a compressed or a damaged one: decompress it, or copy or "
            "download it again."
        )
    return TarArchive(path, members, left_out, (mtime_ns, ctime_ns))


@dataclass(frozen=True, slots=True, eq=False)
class TarArchive(Archive[Span]):
    """A tar file; each member is a piece of it."""

    kind: ClassVar[Literal["tar"]] = "tar"

    def _size(self, span: Span) -> int:
        return span.size

    def _content(self, span: Span, max_bytes: int) -> bytes:
        return read_span(self.path, span, max_bytes)


def read_span(path: str | os.PathLike[str], span: Span, max_bytes: int) -> bytes:
    """Read a piece of a file.

    Args:
        path: The file.
        span: Which bytes of it.
        max_bytes: Most bytes that it may have.

    Returns:
        Its content.

    Raises:
        ImageError: It is too large, or the file ends before it does.
    """
    if span.size > max_bytes:
        raise ImageError("too_many_bytes", f"{span.size:,} > {max_bytes:,} bytes")
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path costs as much
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not_a_file", "")
        file = _opened(os.fspath(path), status.st_dev, status.st_ino)
        content = file.read(span)
        while len(content) < span.size and (
            more := file.read(Span(span.offset + len(content), span.size - len(content)))
        ):
            content += more  # Some network disks give less than they are asked for.
    except FileNotFoundError as error:
        raise ImageError("not_found", "") from error
    except (OSError, OverflowError) as error:
        raise ImageError("unreadable", getattr(error, "strerror", None) or str(error)) from error
    if len(content) < span.size:
        raise ImageError("truncated", "")
    return content


class _OpenedFile:
    """A file that is open as long as somebody holds it; threads may read at the same time."""

    def __init__(self, path: str) -> None:
        self._file = io.FileIO(path)
        self._lock = threading.Lock()

    def __del__(self) -> None:
        with suppress(AttributeError):  # It could not be opened.
            self._file.close()

    def read(self, span: Span) -> bytes:
        """Read a piece, or less of it."""
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), span.size, span.offset)
        with self._lock:  # Windows
            self._file.seek(span.offset)
            return self._file.read(span.size)


@lru_cache(maxsize=32)
def _opened(path: str, _device: int, _number: int) -> _OpenedFile:
    """Open a file, or find it open; one that has been replaced is another."""
    return _OpenedFile(path)
