"""The walk through class folders: each file is listed, or left out with a reason."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imgclf.data.reading.file_list import FileList
from imgclf.data.reading.image_folder import version_of
from imgclf.data.reading.left_out import LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imgclf.data.reading.image_folder import Split
    from imgclf.data.reading.trees import Entry, Tree

__all__ = [
    "IMAGE_ENDINGS",
    "Walk",
    "is_image_name",
    "is_wanted",
    "is_wanted_path",
    "wanted_folders",
]

IMAGE_ENDINGS = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        *(".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"),
    }
)
"""Lower-case endings of the files that the scan tries to decode."""

SYSTEM_NAMES = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN"})
"""Files and folders that operating systems and file servers create."""


class Walk:
    """Collects the files of one tree, and what is left out."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.files = FileList()
        self.left_out = [
            LeftOut(path, reason) for path, reason in tree.left_out if is_wanted_path(path)
        ]

    def read_classes(self, prefix: str, split: Split | None) -> None:
        """Read the class folders below ``root/prefix``."""
        for entry in self._entries(prefix):
            path = _join(prefix, entry.name)
            if not is_wanted(entry):
                self._leave_out(path, entry)
            elif _is_folder(entry):
                before = self.files.num_files
                self._read_files(path, entry.name, split)
                if self.files.num_files == before:
                    self.left_out.append(LeftOut(path, "empty_folder"))
            else:
                self.left_out.append(LeftOut(path, "no_class"))

    def read_tree(self) -> None:
        """Read all files below the root, without classes."""
        self._read_files("", "", None)

    def leave_out_siblings(self, splits: Iterable[str]) -> None:
        """Record what lies beside the split folders."""
        for entry in self._entries(""):
            if entry.name not in splits:
                if is_wanted(entry):
                    self.left_out.append(LeftOut(entry.name, "beside_splits"))
                else:
                    self._leave_out(entry.name, entry)

    def _read_files(self, class_folder: str, class_name: str, split: Split | None) -> None:
        """Read a class folder and all folders below it, each once, however links lead to it."""
        # A link up to the root would bring all other classes into this one.
        waiting = [(class_folder, self.tree.above(class_folder))]
        read: set[object] = set()
        while waiting:
            folder, above = waiting.pop()
            try:
                identity = self.tree.identity(folder)
            except OSError:
                self.left_out.append(LeftOut(folder, "unreadable"))
                continue
            if identity in above or identity in read:
                reason = "link_loop" if identity in above else "linked_twice"
                self.left_out.append(LeftOut(folder, reason))
                continue
            read.add(identity)
            for entry in _taken(self._entries(folder)):
                path = _join(folder, entry.name)
                if not is_wanted(entry):
                    self._leave_out(path, entry)
                elif _is_folder(entry):
                    waiting.append((path, above | {identity}))
                elif not is_image_name(path):
                    self.left_out.append(LeftOut(path, "unknown_ending"))
                else:
                    self._add(path, class_name, split, entry)

    def _add(self, path: str, class_name: str, split: Split | None, entry: Entry) -> None:
        try:
            info = entry.stat()
        except FileNotFoundError:  # A link that points nowhere.
            self.left_out.append(LeftOut(path, "missing"))
            return
        except OSError:  # Such as a link that points to itself.
            self.left_out.append(LeftOut(path, "unreadable"))
            return
        self.files.add(path, class_name, split, version_of(info))

    def _leave_out(self, path: str, entry: Entry) -> None:
        reason = "system" if entry.name in SYSTEM_NAMES else "hidden"
        self.left_out.append(LeftOut(path, reason))

    def _entries(self, folder: str) -> list[Entry]:
        try:
            return self.tree.entries(folder)
        except OSError:
            self.left_out.append(LeftOut(folder, "unreadable"))
            return []


def wanted_folders(tree: Tree, folder: str) -> list[str]:
    """List the folders in a folder that are not hidden; none where it cannot be read."""
    try:
        entries = tree.entries(folder)
    except OSError:
        return []
    return [entry.name for entry in entries if is_wanted(entry) and _is_folder(entry)]


def is_wanted(entry: Entry) -> bool:
    """Tell whether a file or folder is neither hidden nor a system's own."""
    return _is_wanted_name(entry.name)


def is_image_name(path: str) -> bool:
    """Tell whether a name ends like an image's."""
    return os.path.splitext(path)[1].lower() in IMAGE_ENDINGS  # noqa: PTH122


def _is_wanted_name(name: str) -> bool:
    return not name.startswith(".") and name not in SYSTEM_NAMES


def is_wanted_path(path: str) -> bool:
    """Tell whether no part of a path is hidden; ``..`` is reported, not hidden."""
    for part in path.replace("\\", "/").split("/"):  # Faster than all(); there may be millions.
        if (part in SYSTEM_NAMES or part.startswith(".")) and part not in (".", ".."):
            return False
    return True


def _is_folder(entry: Entry) -> bool:
    """Tell whether it is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _taken(entries: list[Entry]) -> Iterator[Entry]:
    """Yield entries and forget them: each keeps its status, in a folder there may be a million."""
    entries.reverse()
    while entries:
        yield entries.pop()


def _join(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name
