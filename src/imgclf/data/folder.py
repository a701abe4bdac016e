"""Understanding a folder of images: its layout, its classes, its files, and what is left out."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from imgclf.errors import DataError, DataNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "FoundFile",
    "ImageFolder",
    "LeftOut",
    "Split",
    "find_images",
    "match_classes",
    "read_folder",
]

Split = Literal["train", "val", "test"]

SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""Folder names that stand for a split where they lie beside each other."""

IMAGE_ENDINGS = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        *(".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"),
    }
)
"""Endings, in lower case, of files that the scan tries to decode; content decides after that."""

SYSTEM_NAMES = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN"})
"""What operating systems and file servers leave in folders."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file that looks like an image.

    Attributes:
        path: Relative to the folder's root, with ``/``; bytes that are not UTF-8 are kept as
            surrogate escapes.
        label: Index of its class.
        split: The split whose folder it lies in; None where the folder has no split folders.
        size_bytes: Size.
        mtime_ns: Time of the last change to its content.
        ctime_ns: Time of the last change to the file's entry; catches rewrites that keep mtime.
        group: What a table says that it belongs with; empty without a table.
    """

    path: str
    label: int
    split: Split | None
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    group: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is not used, and why.

    Attributes:
        path: Relative to the folder's root.
        reason: ``"hidden"``, ``"system"``, ``"unknown_ending"``, ``"no_class"``,
            ``"empty_folder"``, ``"beside_splits"``, ``"link_loop"``, ``"linked_twice"`` or
            ``"unreadable"``.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """What was understood of a folder.

    Attributes:
        root: The folder.
        layout: ``"classes"`` for class folders, ``"splits"`` for ``train/`` and others above them.
        class_names: Byte-sorted names of the class folders (D7).
        files: All candidate images, sorted by path.
        left_out: What is not used, and why.
    """

    root: Path
    layout: Literal["classes", "splits"]
    class_names: tuple[str, ...]
    files: tuple[FoundFile, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def splits(self) -> frozenset[Split]:
        """The splits that the folder itself provides."""
        return frozenset(file.split for file in self.files if file.split is not None)

    def absolute(self, file: FoundFile) -> str:
        """Return the absolute path of one of its files."""
        return os.path.join(self.root, file.path)  # noqa: PTH118 - pathlib is slow for 100,000


def read_folder(directory: str | os.PathLike[str], *, min_classes: int = 2) -> ImageFolder:
    """Read which images a folder holds; nothing is opened or decoded.

    Two layouts are understood: one folder of class folders, or ``train/`` with any of ``val/``
    (``valid/``, ``validation/``) and ``test/``, each with the class folders inside. A CSV file
    that lists the images is the third; see `imgclf.data.table`.

    Args:
        directory: The folder, or the CSV file.
        min_classes: Fewest classes that are accepted.

    Returns:
        Its layout, classes and files.

    Raises:
        DataNotFoundError: The folder does not exist.
        DataError: It is a file, cannot be read, or holds no class folders with images; the
            message says what was found and what to change.
    """
    from imgclf.data.table import is_table, read_table

    if is_table(directory):
        listed = read_table(directory)
        _require_classes(listed, min_classes)
        return listed
    root = Path(os.path.abspath(directory))  # noqa: PTH100 - resolve() would follow links
    _require_folder(root)
    splits = _split_folders(root)
    reader = _Reader(root)
    if splits:
        for name in sorted(splits):
            reader.read_classes(name, splits[name])
        reader.leave_out_siblings(splits)
    else:
        reader.read_classes("", None)
    folder = reader.finish("splits" if splits else "classes")
    _require_classes(folder, min_classes)
    return folder


def match_classes(folder: ImageFolder, class_names: Sequence[str]) -> tuple[list[FoundFile], str]:
    """Give a folder's files the label numbers of another set of classes, by name (D7).

    Args:
        folder: A validation, test or evaluation folder.
        class_names: The classes of the training folder or the bundle.

    Returns:
        The files with labels that index `class_names`, and a warning (empty when none) that
        names classes which have no folder here.

    Raises:
        DataError: The folder has a class that `class_names` has not.
    """
    unknown = [name for name in folder.class_names if name not in class_names]
    if unknown:
        raise DataError(
            f"{folder.root} has class folders that the classifier does not know: "
            f"{_names(unknown)}. Known classes: {_names(class_names)}."
        )
    missing = [name for name in class_names if name not in folder.class_names]
    warning = f"{folder.root} has no images of: {_names(missing)}." if missing else ""
    labels = [class_names.index(name) for name in folder.class_names]
    files = [replace(file, label=labels[file.label]) for file in folder.files]
    return files, warning


def _require_folder(root: Path) -> None:
    if not root.exists():
        raise DataNotFoundError(
            f"The folder {root} does not exist: give a folder with one sub-folder per class."
        )
    if not root.is_dir():
        raise DataError(
            f"{root} is a file: give a folder with one sub-folder per class, or a .csv file."
        )
    try:
        with os.scandir(root):
            pass
    except OSError as error:
        raise DataError(f"The folder {root} cannot be read ({error.strerror}).") from error


def _split_folders(root: Path) -> dict[str, Split]:
    """Find ``train/``, ``val/``, ``test/``; empty where the folders are classes."""
    folders = _folder_names(root)
    found = {name: SPLIT_FOLDERS[name.lower()] for name in folders if name.lower() in SPLIT_FOLDERS}
    alone = len(found) == 1 == len(folders) and _holds_folders(root, found)
    if len(found) <= 1 and not alone:
        return {}
    for split in set(found.values()):
        names = sorted(name for name in found if found[name] == split)
        if len(names) > 1:
            raise DataError(f"{root} has {_names(names)}, which mean the same: keep one of them.")
    if "train" not in found.values():
        raise DataError(
            f"{root} has {_names(sorted(found))} but no train/: put the training images into "
            "train/, with one sub-folder per class."
        )
    return found


def _holds_folders(root: Path, found: Iterable[str]) -> bool:
    """Tell whether a lone ``train/`` holds class folders, so that it is no class itself."""
    return any(_folder_names(root / name) for name in found)


def _folder_names(folder: Path) -> list[str]:
    """List the folders in a folder that are not hidden; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if _is_wanted(entry) and _is_folder(entry)]
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether it is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_wanted(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.name not in SYSTEM_NAMES


class _Reader:
    """Collects classes and files of one root; the only state is what was found so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: list[tuple[str, str, Split | None, os.stat_result]] = []
        self.left_out: list[LeftOut] = []

    def read_classes(self, prefix: str, split: Split | None) -> None:
        """Read the class folders below ``root/prefix``."""
        for entry in self._entries(prefix):
            path = _join(prefix, entry.name)
            if not _is_wanted(entry):
                self._leave_out(path, entry)
            elif _is_folder(entry):
                before = len(self.found)
                self._read_files(path, entry.name, split)
                if len(self.found) == before:
                    self.left_out.append(LeftOut(path, "empty_folder"))
            else:
                self.left_out.append(LeftOut(path, "no_class"))

    def read_tree(self) -> None:
        """Read all files below the root as one class without a name."""
        self._read_files("", "", None)

    def leave_out_siblings(self, splits: Iterable[str]) -> None:
        """Record what lies beside the split folders."""
        for entry in self._entries(""):
            if entry.name not in splits:
                if _is_wanted(entry):
                    self.left_out.append(LeftOut(entry.name, "beside_splits"))
                else:
                    self._leave_out(entry.name, entry)

    def finish(self, layout: Literal["classes", "splits"]) -> ImageFolder:
        """Number the classes and sort the files."""
        class_names = tuple(sorted({name for _, name, _, _ in self.found}, key=os.fsencode))
        labels = {name: label for label, name in enumerate(class_names)}
        files = [
            FoundFile(path, labels[name], split, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
            for path, name, split, info in self.found
        ]
        files.sort(key=lambda file: os.fsencode(file.path))
        return ImageFolder(self.root, layout, class_names, tuple(files), tuple(self.left_out))

    def _read_files(self, class_folder: str, class_name: str, split: Split | None) -> None:
        """Read a class folder and all folders below it, each once, however links lead to it."""
        # A link up to the root would bring all other classes into this one.
        # Absolute, because the parent of the relative path "photos" would be found inside it.
        whole = Path(os.path.abspath(self.root / class_folder))  # noqa: PTH100 - keeps links
        parents = {self._identity(parent) for parent in whole.parents}
        waiting = [(class_folder, frozenset(parents))]
        read: set[tuple[int, int]] = set()
        while waiting:
            folder, above = waiting.pop()
            identity = self._identity(folder)
            if identity is None:
                self.left_out.append(LeftOut(folder, "unreadable"))
                continue
            if identity in above or identity in read:
                reason = "link_loop" if identity in above else "linked_twice"
                self.left_out.append(LeftOut(folder, reason))
                continue
            read.add(identity)
            for entry in self._entries(folder):
                path = _join(folder, entry.name)
                if not _is_wanted(entry):
                    self._leave_out(path, entry)
                elif _is_folder(entry):
                    waiting.append((path, above | {identity}))
                elif not _is_image_name(path):
                    self.left_out.append(LeftOut(path, "unknown_ending"))
                else:
                    self._add(path, class_name, split, entry)

    def _identity(self, folder: str | Path) -> tuple[int, int] | None:
        try:
            info = (self.root / folder).stat()
        except OSError:
            return None
        return info.st_dev, info.st_ino

    def _add(
        self, path: str, class_name: str, split: Split | None, entry: os.DirEntry[str]
    ) -> None:
        try:
            info = entry.stat()
        except OSError:  # A link that points nowhere, or to itself.
            self.left_out.append(LeftOut(path, "unreadable"))
            return
        self.found.append((path, class_name, split, info))

    def _leave_out(self, path: str, entry: os.DirEntry[str]) -> None:
        reason = "system" if entry.name in SYSTEM_NAMES else "hidden"
        self.left_out.append(LeftOut(path, reason))

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError:
            self.left_out.append(LeftOut(folder, "unreadable"))
            return []


def _join(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


def _require_classes(folder: ImageFolder, min_classes: int) -> None:
    """Refuse a folder with too few classes, in words that fit what was found instead."""
    for name in folder.class_names:
        if not name.isprintable():  # Class names are written into bundles and shown to people.
            raise DataError(
                f"The class folder {name!r} in {folder.root} has characters that are no text: "
                "rename it."
            )
    if len(folder.class_names) >= min_classes:
        return
    root = folder.root
    remedy = "put the images into one sub-folder per class, for example cats/ and dogs/"
    if not folder.class_names:
        loose = [item.path for item in folder.left_out if _is_image_name(item.path)]
        if loose:
            raise DataError(f"{root} has {len(loose)} images but no class folders: {remedy}.")
        raise DataError(f"{root} has no images: {remedy}.")
    only = folder.class_names[0]
    inner = _inner_folders(folder)
    hint = f", or give {root / only}, which has the folders {_names(inner)}" if inner else ""
    raise DataError(
        f"{root} has one class folder with images, {only!r}; a classifier needs two: "
        f"{remedy}{hint}."
    )


def _is_image_name(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in IMAGE_ENDINGS  # noqa: PTH122


def _inner_folders(folder: ImageFolder) -> list[str]:
    """List folders with images inside the only class: the usual sign of one level too many."""
    if folder.layout == "splits":
        return []
    below = [file.path.partition("/")[2] for file in folder.files]
    names = sorted({path.partition("/")[0] for path in below if "/" in path})
    return names if len(names) > 1 else []


def _names(names: Sequence[str], most: int = 10) -> str:
    """Join names for a message, ten at most."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def find_images(directory: str | os.PathLike[str]) -> list[str]:
    """Find all files in a folder and below that look like images, whatever folders they lie in.

    Args:
        directory: The folder.

    Returns:
        Paths that begin with `directory`, byte-sorted; hidden and system files are left out.
    """
    reader = _Reader(Path(directory))
    reader.read_tree()
    paths = sorted((path for path, _, _, _ in reader.found), key=os.fsencode)
    return [os.path.join(directory, path) for path in paths]  # noqa: PTH118 - as it was given
