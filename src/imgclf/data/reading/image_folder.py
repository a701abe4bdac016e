"""The files of an image folder, with their classes and splits, and what is left out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

if TYPE_CHECKING:
    from pathlib import Path

    from imgclf.data.reading.left_out import LeftOut
    from imgclf.data.reading.trees import FileStatus

__all__ = [
    "SPLIT_FOLDERS",
    "Folders",
    "ImageFile",
    "ImageFolder",
    "Layout",
    "Split",
    "version_of",
]

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
class ImageFile:
    """A file whose name ends like an image's.

    Attributes:
        path: Relative to the folder's root, with ``/``; bytes that are not UTF-8 are kept as
            surrogate escapes.
        label: Index of its class.
        split: The split whose folder it lies in; None where the folder has no split folders.
        version: Changes when its content may have changed; see `version_of`.
        group: Its group in the CSV file; empty without one.
    """

    path: str
    label: int
    split: Split | None
    version: int
    group: str = ""


def version_of(status: FileStatus) -> int:
    """Return a number that changes when a file's content may have changed.

    A hash of size, modification time and change time; the last catches rewrites that restore the
    modification time. One small number, because there may be a million files.
    """
    facts = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode()
    return int.from_bytes(hashlib.blake2b(facts, digest_size=7).digest(), "big")


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """An image folder: layout, classes and files.

    Attributes:
        root: The folder, or the ZIP file (and the folder in it).
        layout: ``"classes"`` for class folders, ``"splits"`` for ``train/`` and others above them.
        class_names: Names of the class folders, sorted by their bytes.
        files: All files that look like images, sorted by path.
        left_out: What is not used, and why.
        kind: ``"folder"`` or ``"zip"``: where it lies.
    """

    root: Path
    layout: Layout
    class_names: tuple[str, ...]
    files: tuple[ImageFile, ...]
    left_out: tuple[LeftOut, ...]
    kind: Literal["folder", "zip"] = "folder"

    @property
    def splits(self) -> frozenset[Split]:
        """The splits that the folder itself provides."""
        return frozenset(file.split for file in self.files if file.split is not None)

    def absolute(self, file: ImageFile) -> str:
        """Return the absolute path of one of its files."""
        return os.path.join(self.root, file.path)  # noqa: PTH118 - pathlib is slow for 100,000

    @property
    def paths(self) -> Sequence[str]:
        """``(num_files,)`` absolute paths, each made when it is asked for."""
        return _Paths(self)


Folders = Mapping[Split, ImageFolder]
"""The folders of one training, by the split that each is given for."""


@dataclass(frozen=True, slots=True)
class _Paths(Sequence[str]):
    """The absolute paths of a folder's files, made one by one to save memory."""

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
