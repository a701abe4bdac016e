"""What was found in a folder: which files, of which classes, and what is left out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

if TYPE_CHECKING:
    from pathlib import Path

    from imgclf.data.reading.trees import FileStatus

__all__ = ["SPLIT_FOLDERS", "FoundFile", "ImageFolder", "Layout", "LeftOut", "Split", "version_of"]

Layout = Literal["classes", "splits"]
Split = Literal["train", "val", "test"]

SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""Folder names that stand for a split where they lie beside each other."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file that looks like an image.

    Attributes:
        path: Relative to the folder's root, with ``/``; bytes that are not UTF-8 are kept as
            surrogate escapes.
        label: Index of its class.
        split: The split whose folder it lies in; None where the folder has no split folders.
        version: What its status says of its content, see `version_of`.
        group: What a table says that it belongs with; empty without a table.
    """

    path: str
    label: int
    split: Split | None
    version: int
    group: str = ""


def version_of(status: FileStatus) -> int:
    """Return a number that is another one when a file's content may have changed.

    It stands for the size, the time of the last change to the content and that of the last change
    to the file's entry, which catches rewrites that keep the former. One small number, because
    there may be a million files.
    """
    facts = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode()
    return int.from_bytes(hashlib.blake2b(facts, digest_size=7).digest(), "big")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is not used, and why.

    Attributes:
        path: Relative to the folder's root.
        reason: ``"hidden"``, ``"system"``, ``"unknown_ending"``, ``"no_class"``,
            ``"empty_folder"``, ``"beside_splits"``, ``"link_loop"``, ``"linked_twice"`` or
            ``"unreadable"``; in ZIP files also ``"unsafe_path"``, ``"link_in_zip"``,
            ``"too_deep"`` or ``"stored_twice"``.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """What was understood of a folder.

    Attributes:
        root: The folder, or the ZIP file (and the folder in it).
        layout: ``"classes"`` for class folders, ``"splits"`` for ``train/`` and others above them.
        class_names: Byte-sorted names of the class folders (D7).
        files: All candidate images, sorted by path.
        left_out: What is not used, and why.
        kind: ``"folder"`` or ``"zip"``: where it lies.
    """

    root: Path
    layout: Layout
    class_names: tuple[str, ...]
    files: tuple[FoundFile, ...]
    left_out: tuple[LeftOut, ...]
    kind: Literal["folder", "zip"] = "folder"

    @property
    def splits(self) -> frozenset[Split]:
        """The splits that the folder itself provides."""
        return frozenset(file.split for file in self.files if file.split is not None)

    def absolute(self, file: FoundFile) -> str:
        """Return the absolute path of one of its files."""
        return os.path.join(self.root, file.path)  # noqa: PTH118 - pathlib is slow for 100,000

    @property
    def paths(self) -> Sequence[str]:
        """``(num_files,)`` absolute paths, each made when it is asked for."""
        return _Paths(self)


@dataclass(frozen=True, slots=True)
class _Paths(Sequence[str]):
    """The paths of a folder's files without a second string for each of them."""

    folder: ImageFolder

    def __len__(self) -> int:
        return len(self.folder.files)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self.folder.absolute(file) for file in self.folder.files[index]]
        return self.folder.absolute(self.folder.files[index])
