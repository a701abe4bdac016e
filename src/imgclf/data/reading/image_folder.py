"""The files of an image folder, with their classes and splits, and what is left out."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

from imgclf.data.reading.columns import TextColumn
from imgclf.data.reading.members import Span

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from imgclf.data.reading.left_out import LeftOut
    from imgclf.data.reading.trees import FileStatus

__all__ = [
    "SPLITS",
    "SPLIT_FOLDERS",
    "Folders",
    "ImageFile",
    "ImageFiles",
    "ImageFolder",
    "Kind",
    "Layout",
    "Split",
    "version_of",
]

Kind = Literal["folder", "zip", "tar", "shards", "parquet"]
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


SPLITS: tuple[Split | None, ...] = (None, "train", "val", "test")
"""The splits by the number that stands for each in a column."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file whose name ends like an image's.

    Attributes:
        path: Relative to the folder's root, with ``/``; bytes that are not UTF-8 are kept as
            surrogate escapes.
        label: Index of its class.
        split: The split whose folder it lies in; None where the folder has no split folders.
        version: Changes when its content may have changed; see `version_of`.
        group: Its group in the CSV file or shard; empty without one.
        span: Where it lies in its tar file, so that nobody has to look for it again; None for a
            file of another kind.
    """

    path: str
    label: int
    split: Split | None
    version: int
    group: str = ""
    span: Span | None = None


def version_of(status: FileStatus) -> int:
    """Return a number that changes when a file's content may have changed.

    A hash of size, modification time and change time; the last catches rewrites that restore the
    modification time. One small number, because there may be a million files.
    """
    facts = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode()
    return int.from_bytes(hashlib.blake2b(facts, digest_size=7).digest(), "big")


class ImageFiles(Sequence[ImageFile]):
    """Files in columns: about 30 bytes and a path each, because there may be millions.

    An `ImageFile` is made of them when it is asked for. Files are appended, and never changed.
    """

    __slots__ = ("_groups", "_labels", "_offsets", "_sizes", "_splits", "_versions", "paths")

    def __init__(self, files: Iterable[ImageFile] = ()) -> None:
        self.paths = TextColumn()
        self._labels = array("i")
        self._splits = array("b")
        self._versions = array("q")
        self._groups: dict[int, str] = {}
        self._offsets = array("q")  # Empty where no file has a span.
        self._sizes = array("q")
        for file in files:
            self.append(file)

    def append(self, file: ImageFile) -> None:
        """Add a file at the end; either all files have a span, or none has."""
        assert len(self._sizes) == (0 if file.span is None else len(self))
        if file.group:
            self._groups[len(self)] = file.group
        self.paths.append(file.path)
        self._labels.append(file.label)
        self._splits.append(SPLITS.index(file.split))
        self._versions.append(file.version)
        if file.span is not None:
            self._offsets.append(file.span.offset)
            self._sizes.append(file.span.size)

    def __len__(self) -> int:
        return len(self._labels)

    @overload
    def __getitem__(self, index: int) -> ImageFile: ...
    @overload
    def __getitem__(self, index: slice) -> list[ImageFile]: ...
    def __getitem__(self, index: int | slice) -> ImageFile | list[ImageFile]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return self._file(range(len(self))[index], self.paths[index])

    def __iter__(self) -> Iterator[ImageFile]:
        return map(self._file, range(len(self)), self.paths)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImageFiles) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it can grow

    @property
    def labels(self) -> array[int]:
        """``(num_files,)`` class indices, 32 bits each."""
        return self._labels

    @property
    def split_numbers(self) -> array[int]:
        """``(num_files,)`` places of their splits in `SPLITS`, 8 bits each."""
        return self._splits

    @property
    def groups(self) -> Mapping[int, str]:
        """The groups of the files that have one, by index."""
        return self._groups

    @property
    def splits(self) -> frozenset[Split]:
        """The splits that any of the files has."""
        return frozenset(split for place in set(self._splits) if (split := SPLITS[place]))

    def span(self, index: int) -> Span | None:
        """Return where a file lies in its tar file."""
        return Span(self._offsets[index], self._sizes[index]) if self._sizes else None

    def relabelled(self, labels: Sequence[int]) -> ImageFiles:
        """Return the same files with other labels.

        Args:
            labels: The new label for each old one.

        Returns:
            The files, which share all other columns.
        """
        files = ImageFiles()
        for name in ImageFiles.__slots__:
            setattr(files, name, getattr(self, name))
        files._labels = array("i", (labels[label] for label in self._labels))
        return files

    def _file(self, place: int, path: str) -> ImageFile:
        return ImageFile(
            path,
            self._labels[place],
            SPLITS[self._splits[place]],
            self._versions[place],
            self._groups.get(place, ""),
            self.span(place),
        )


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """An image folder: layout, classes and files.

    Attributes:
        root: The folder, or the archive (and the folder in it); of shards, the folder that all of
            them lie in.
        layout: ``"classes"`` for class folders, ``"splits"`` for ``train/`` and others above them.
        class_names: Names of the class folders, sorted by their bytes.
        files: All files that look like images, sorted by path.
        left_out: What is not used, and why.
        kind: Where it lies: ``"folder"``, ``"zip"`` or ``"tar"`` for one archive of folders,
            ``"shards"`` for tar files of images with their labels beside them, ``"parquet"``.
    """

    root: Path
    layout: Layout
    class_names: tuple[str, ...]
    files: ImageFiles
    left_out: tuple[LeftOut, ...]
    kind: Kind = "folder"

    @property
    def splits(self) -> frozenset[Split]:
        """The splits that the folder itself provides."""
        return self.files.splits

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
            return [self._absolute(path) for path in self.folder.files.paths[index]]
        return self._absolute(self.folder.files.paths[index])

    def __iter__(self) -> Iterator[str]:
        return map(self._absolute, self.folder.files.paths)

    def _absolute(self, path: str) -> str:
        return os.path.join(self.folder.root, path)  # noqa: PTH118 - as in `ImageFolder.absolute`
