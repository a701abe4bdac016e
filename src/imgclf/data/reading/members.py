"""What archives have in common, and the folders that the names of their members tell of."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from imgclf.errors import DataError, ImageError

__all__ = [
    "MAX_DEPTH",
    "MAX_MEMBERS",
    "MAX_NAME_LENGTH",
    "Archive",
    "Folder",
    "MemberStatus",
    "Span",
    "is_too_deep",
    "plain_name",
    "sort_members",
]

MAX_MEMBERS = 1_000_000
"""Files and folders; those count, too, that only the names of others tell of."""

MAX_DEPTH = 100
"""Folders that a member may lie in."""

MAX_NAME_LENGTH = 1024
"""Characters of a member's name; a path on a disk can have 4,096 bytes in all."""

_UNUSUAL_NAME = re.compile(r"\\|//|/\.|^\.|^/|^.:", re.DOTALL)
"""What the name of a member hardly ever has, and never where it can be taken as it is."""

Folder: TypeAlias = "dict[str, Folder | str]"
"""A folder in an archive: what lies in it by name; of a file, its member's name."""


Member = TypeVar("Member")
"""What an archive keeps of one of its files."""


class Span(NamedTuple):
    """The bytes of an uncompressed archive that are one of its files."""

    offset: int
    size: int


class MemberStatus(NamedTuple):
    """What tells one version of a member from the next: its size and its archive's times."""

    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Archive(ABC, Generic[Member]):
    """An open archive; threads may read from it at the same time.

    A format says how large a member is and what it contains; all else is the same for each.

    Attributes:
        kind: Its format.
        path: The file.
        members: What it knows of its files, and of folders, which end in ``/``, by plain name.
        left_out: Members that are not used, and why: see `imgclf.data.reading.left_out`.
        times_ns: Of the last change to the file's content and to its entry.
    """

    kind: ClassVar[Literal["zip", "tar", "parquet"]]
    path: Path
    members: Mapping[str, Member]
    left_out: Sequence[tuple[str, str]]
    times_ns: tuple[int, int]

    def status(self, name: str) -> MemberStatus:
        """Return size and times of a member; `KeyError` where there is none."""
        return MemberStatus(self._size(self.members[name]), *self.times_ns)

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a member whole.

        Args:
            name: Its plain name.
            max_bytes: Most bytes that it may have, as stated and in truth.

        Returns:
            Its content.

        Raises:
            ImageError: It is not there, encrypted, too large or damaged.
        """
        member = self.members.get(name)
        if member is None:
            raise ImageError("not_found", f"it is not in {self.path.name}")
        return self._content(member, max_bytes)

    @abstractmethod
    def _size(self, member: Member) -> int:
        """Return how many bytes a member has."""

    @abstractmethod
    def _content(self, member: Member, max_bytes: int) -> bytes:
        """Read a member, as `read` says."""


def plain_name(name: str) -> str | None:
    """Return a member's name with ``/``, without ``./``; None for one that leads elsewhere."""
    if not _UNUSUAL_NAME.search(name):
        return name
    plain = name.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    drive = bool(parts) and len(parts[0]) == 2 and parts[0].endswith(":")
    if plain.startswith("/") or ".." in parts or drive:
        return None
    return "/".join(parts) + ("/" if plain.endswith("/") else "")


def is_too_deep(name: str) -> bool:
    """Tell whether a plain name is endless, or that of a file in too many folders."""
    return len(name) > MAX_NAME_LENGTH or name.count("/") > MAX_DEPTH


@lru_cache(maxsize=4)
def sort_members(archive: Archive[Any]) -> tuple[Folder, tuple[str, ...]]:
    """Put the members of an archive into the folders that their names tell of.

    Args:
        archive: An open archive.

    Returns:
        The folder at the top, and names that have no place in it, because a file is in the way of
        a folder.

    Raises:
        DataError: There are too many folders.
    """
    top: Folder = {}
    clashes = []
    num_folders = 0
    for name in archive.members:
        *folders, last = name.split("/")  # The name of a folder ends with /: nothing is last.
        inner: Folder | str = top
        for folder in folders:
            if not isinstance(inner, dict):
                break
            if folder not in inner:
                num_folders += 1
                inner[folder] = {}
            inner = inner[folder]
        if not isinstance(inner, dict) or (last and inner.setdefault(last, name) is not name):
            clashes.append(name)
        if num_folders > MAX_MEMBERS:
            raise DataError(
                f"{archive.path} has more than {MAX_MEMBERS:,} folders: unpack it and give the "
                "folder."
            )
    return top, tuple(clashes)
