"""A tree of folders and files, wherever it lies: on the disk, or inside an archive."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Protocol

from imgclf.data.reading.archives import find_archive, open_archive
from imgclf.data.reading.left_out import why_missing
from imgclf.data.reading.members import sort_members
from imgclf.errors import DataError, DataNotFoundError

if TYPE_CHECKING:
    from imgclf.data.reading.members import Archive, Folder

__all__ = ["ArchiveTree", "DiskTree", "Entry", "FileStatus", "Tree", "open_tree"]


class FileStatus(Protocol):
    """Size and times of a file, which change with its content."""

    @property
    def st_size(self) -> int:
        """Size in bytes."""

    @property
    def st_mtime_ns(self) -> int:
        """Time of the last change to its content."""

    @property
    def st_ctime_ns(self) -> int:
        """Time of the last change to its entry."""


class Entry(Protocol):
    """A file or folder in a folder, such as an `os.DirEntry`."""

    @property
    def name(self) -> str:
        """Its name in the folder."""

    def is_dir(self) -> bool:
        """Tell whether it is a folder, or a link to one."""

    def stat(self) -> FileStatus:
        """Return its status; `OSError` where it cannot be read."""


class Tree(Protocol):
    """Folders and files below one root; all paths are relative to it, with ``/``."""

    @property
    def root(self) -> Path:
        """The absolute path that every path below begins with."""

    @property
    def kind(self) -> Literal["folder", "zip", "tar", "parquet"]:
        """Where it lies."""

    @property
    def left_out(self) -> Sequence[tuple[str, str]]:
        """Path and reason of each entry that no folder can hold."""

    def entries(self, folder: str) -> list[Entry]:
        """List a folder, byte-sorted; `OSError` where it cannot be read."""

    def status(self, path: str) -> FileStatus:
        """Return the status of a file; `OSError` where there is none."""

    def identity(self, folder: str) -> Hashable:
        """Return a value that all paths to one folder share; `OSError` where it cannot be read."""

    def above(self, folder: str) -> frozenset[Hashable]:
        """Return the identities of all folders above a folder."""

    def read(self, path: str) -> bytes:
        """Return the content of a small file; `OSError` where it cannot be read."""


class DiskTree:
    """A folder on the disk; links are followed."""

    kind: Literal["folder"] = "folder"
    left_out: Sequence[tuple[str, str]] = ()

    def __init__(self, root: Path) -> None:
        self.root = root

    def entries(self, folder: str) -> list[Entry]:
        """List a folder."""
        with os.scandir(self.root / folder) as entries:
            return sorted(entries, key=lambda entry: os.fsencode(entry.name))

    def status(self, path: str) -> FileStatus:
        """Return the status of a file."""
        return (self.root / path).stat()

    def identity(self, folder: str | Path) -> Hashable:
        """Return device and number of a folder."""
        info = (self.root / folder).stat()
        return info.st_dev, info.st_ino

    def above(self, folder: str) -> frozenset[Hashable]:
        """Return the identities of all folders above, up to the disk's own root."""
        identities: set[Hashable] = set()
        for parent in (self.root / folder).parents:
            with suppress(OSError):  # An unreadable parent cannot be what a link leads to.
                identities.add(self.identity(parent))
        return frozenset(identities)

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        return (self.root / path).read_bytes()


class ArchiveTree:
    """The members of an archive, as if they lay in folders; nothing is unpacked."""

    def __init__(self, archive: Archive[Any], inner: str) -> None:
        self.root = archive.path / inner
        self.kind = archive.kind
        self._archive = archive
        self._inner = inner
        self._top, self._clashes = sort_members(archive)

    @property
    def left_out(self) -> Sequence[tuple[str, str]]:
        """Members that cannot be used: path and reason."""
        prefix = f"{self._inner}/" if self._inner else ""
        return [
            (path.removeprefix(prefix), reason)
            for path, reason in [
                *self._archive.left_out,
                *((path, "stored_twice") for path in self._clashes),
            ]
            if path.startswith(prefix) or reason in ("unsafe_path", "damaged_archive")
        ]

    def entries(self, folder: str) -> list[Entry]:
        """List a folder."""
        found = self._find(folder).items()
        return [
            _Member(name, "" if isinstance(member, dict) else member, self._archive)
            for name, member in sorted(found, key=lambda item: os.fsencode(item[0]))
        ]

    def status(self, path: str) -> FileStatus:
        """Return the status of a member."""
        try:
            return self._archive.status(self._full(path))
        except KeyError as error:
            raise FileNotFoundError(2, "no such member in the archive", path) from error

    def identity(self, folder: str) -> Hashable:
        """Return what names the folder while this tree is there: there are no links."""
        return id(self._find(folder))

    def above(self, folder: str) -> frozenset[Hashable]:  # noqa: ARG002 - as for a folder on disk
        """Return nothing: no link leads up."""
        return frozenset()

    def read(self, path: str) -> bytes:
        """Return the content of a member."""
        return self._archive.read(self._full(path), MAX_TABLE_BYTES)

    def _full(self, path: str) -> str:
        """Return a path from the top of the archive."""
        joined = PurePosixPath(self._inner, path).as_posix()
        return "" if joined == "." else joined

    def _find(self, path: str) -> Folder:
        """Return a folder; `FileNotFoundError` where there is none."""
        found: Folder | str | None = self._top
        for name in f"{self._inner}/{path}".split("/"):
            if name in ("", "."):
                continue
            found = found.get(name) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise FileNotFoundError(2, "no such folder in the archive", path)
        return found


MAX_TABLE_BYTES = 256 * 1024**2
"""Of a CSV file in an archive, which is read whole."""


@dataclass(frozen=True, slots=True)
class _Member:
    """One file in an archive, or a folder, of which the archive need not say anything."""

    name: str
    full_name: str
    """From the top of the archive; empty for a folder."""
    archive: Archive[Any]

    def is_dir(self) -> bool:
        """Tell whether it is a folder."""
        return not self.full_name

    def stat(self) -> FileStatus:
        """Return its status."""
        if not self.full_name:
            raise IsADirectoryError(21, "a folder in the archive", self.name)
        return self.archive.status(self.full_name)


_REMEDIES = {
    "missing_backslash": "write its path with /, not with \\",
    "missing_address": "an address is no path; download the images, and give their folder",
    "missing_home": "only a shell replaces ~; write the path whole",
}
"""What to do about a folder that is missing, where its path shows the likely cause."""


_COMPRESSED_TAR = re.compile(r"\.(tar\.\w+|tgz|tbz2|txz)$", re.IGNORECASE)


def open_tree(directory: str | os.PathLike[str]) -> Tree:
    """Open a folder, an archive, or a folder in an archive (``photos.zip/train``).

    Args:
        directory: Its path.

    Returns:
        The tree.

    Raises:
        DataNotFoundError: There is no such folder or file.
        DataError: It is a file of another kind, an archive that is damaged or refused for its
            size, or it cannot be read.
    """
    root = Path(os.path.abspath(directory))  # noqa: PTH100 - resolve() would follow links
    tree: Tree
    if (place := find_archive(root)) is not None:
        tree = ArchiveTree(open_archive(place.archive), place.member)
    elif not root.exists():
        remedy = _REMEDIES.get(
            why_missing(os.fspath(directory)), "give a folder with one sub-folder per class"
        )
        raise DataNotFoundError(f"The folder {root} does not exist: {remedy}.")
    elif not root.is_dir():
        packed = _COMPRESSED_TAR.search(root.name)
        raise DataError(
            f"{root} is a compressed tar file, of which no image can be read without the others: "
            "decompress it, and give the .tar file."
            if packed
            else f"{root} is a file: give a folder with one sub-folder per class, a .zip or .tar "
            "file of such a folder, a .csv or .parquet file."
        )
    else:
        tree = DiskTree(root)
    try:
        tree.entries("")
    except FileNotFoundError as error:
        raise DataNotFoundError(f"The folder {root} does not exist: check the path.") from error
    except OSError as error:
        raise DataError(f"The folder {root} cannot be read ({error.strerror}).") from error
    return tree
