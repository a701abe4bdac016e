"""The layout of a folder of images: which folders are classes, and which are splits."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from imgclf.data.reading.archives import find_archive
from imgclf.data.reading.class_names import exact_name, look_of
from imgclf.data.reading.image_folder import SPLIT_FOLDERS, Folders, ImageFolder, Split
from imgclf.data.reading.left_out import count_reasons
from imgclf.data.reading.shard_names import (
    SHARD_ENDINGS,
    is_pattern,
    match_shards,
    shards_below,
)
from imgclf.data.reading.shards import list_shard_images, read_shards
from imgclf.data.reading.table import find_tables, is_table, read_table
from imgclf.data.reading.trees import open_tree
from imgclf.data.reading.walk import Walk, is_image_name, is_wanted, wanted_folders
from imgclf.errors import DataError
from imgclf.machine.plain_text import is_plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgclf.data.reading.image_folder import ImageFiles, Kind, Layout
    from imgclf.data.reading.trees import Tree

__all__ = ["find_images", "is_collection", "match_classes", "read_folder", "read_folders"]


def read_folder(directory: str | os.PathLike[str], *, min_classes: int = 2) -> ImageFolder:
    """List the images of a folder with their classes; no image is opened.

    Two layouts are understood: one folder of class folders, or ``train/`` with any of ``val/``
    (``valid/``, ``validation/``) and ``test/``, each with the class folders inside. A CSV file
    that lists the images is the third; see `imgclf.data.reading.table`. A ZIP or tar file of any
    of these file of any of these is read without being unpacked; one folder may enclose all of its
    content. Shards are read in place, too; see `imgclf.data.reading.shards`.

    Args:
        directory: The folder, the CSV, ZIP, tar or Parquet file, or a pattern that stands for
            shards, such as ``shards/{000..099}.tar``.
        min_classes: Fewest classes that are accepted.

    Returns:
        Its layout, classes and files.

    Raises:
        DataNotFoundError: The folder does not exist.
        DataError: It is a file, cannot be read, or holds no class folders with images; the
            message says what lies there and what to change.
    """
    folder = _read(directory)
    _require_classes(folder, min_classes)
    return folder


def _given_shards(directory: str | os.PathLike[str]) -> tuple[Path, list[str]] | None:
    """Return the shards that a path is of: a pattern, or one file; None for another path."""
    if is_pattern(directory):
        return match_shards(directory)
    place = find_archive(os.fsdecode(os.path.abspath(directory)))  # noqa: PTH100 - as above
    if place is None or place.member or place.archive.suffix.lower() not in SHARD_ENDINGS:
        return None
    return place.archive.parent, [place.archive.name]


def _read(directory: str | os.PathLike[str]) -> ImageFolder:
    shards = _given_shards(directory)
    sharded = read_shards(*shards) if shards else None
    if sharded is not None and (
        sharded.files or sharded.kind == "parquet" or is_pattern(directory)
    ):
        return sharded
    if is_table(directory):
        table = Path(os.path.abspath(directory))  # noqa: PTH100 - resolve() would follow links
        return read_table(open_tree(table.parent), table.name)
    tree = _open_root(directory)
    tables = find_tables(tree) if tree.kind != "folder" else []
    folder = read_table(tree, tables[0]) if len(tables) == 1 else _read_layout(tree)
    if not folder.files and tree.kind == "folder" and (below := shards_below(tree)):
        return read_shards(tree.root, below)
    # One tar file without labels beside the images may be one of class folders.
    return sharded if sharded is not None and not folder.files else folder


def read_folders(
    train_dir: str | os.PathLike[str],
    val_dir: str | os.PathLike[str] | None = None,
    test_dir: str | os.PathLike[str] | None = None,
) -> Folders:
    """Read the folders of one training, once for everything that needs them.

    Args:
        train_dir: As for `read_folder`; it needs two classes, the others one.
        val_dir: A folder with the validation images, if there is one.
        test_dir: A folder with the test images, if there is one.

    Returns:
        What each folder holds, by its split; ``"train"`` may hold images of other splits too.

    Raises:
        DataNotFoundError: A folder does not exist.
        DataError: A folder cannot be used.
    """
    folders: dict[Split, ImageFolder] = {"train": read_folder(train_dir)}
    if val_dir is not None:
        folders["val"] = read_folder(val_dir, min_classes=1)
    if test_dir is not None:
        folders["test"] = read_folder(test_dir, min_classes=1)
    return folders


def match_classes(folder: ImageFolder, class_names: Sequence[str]) -> tuple[ImageFiles, str]:
    """Relabel a folder's files with the class indices of a classifier, by class name.

    Args:
        folder: A validation, test or evaluation folder.
        class_names: The classes of the training folder or the classifier.

    Returns:
        The files, labelled by index into `class_names`, and a warning that names the classes
        without a folder here; empty where there are none.

    Raises:
        DataError: The folder has a class that `class_names` has not.
    """
    numbers = {name: number for number, name in enumerate(class_names)}
    unknown = [name for name in folder.class_names if name not in numbers]
    if unknown:
        raise DataError(
            f"{folder.root} has class folders that the classifier does not know: "
            f"{_names(unknown)}.{_twin_of(unknown, class_names)} Known classes: "
            f"{_names(class_names)}."
        )
    missing = sorted(set(numbers) - set(folder.class_names), key=numbers.__getitem__)
    warning = f"{folder.root} has no images of: {_names(missing)}." if missing else ""
    files = folder.files.relabelled([numbers[name] for name in folder.class_names])
    return files, warning


def _twin_of(unknown: Sequence[str], known: Sequence[str]) -> str:
    """Name the first of the unknown classes that looks like a known one, and that one."""
    looks = {look_of(name): name for name in known}
    for name in unknown:
        if twin := looks.get(look_of(name)):
            return f" {exact_name(name)} is not {exact_name(twin)}: rename it."
    return ""


def _open_root(directory: str | os.PathLike[str]) -> Tree:
    """Open a folder or archive; of an archive with one enclosing folder, open that folder.

    Packing the folder ``photos`` gives members such as ``photos/cat/1.jpg``.
    """
    tree = open_tree(directory)
    while tree.kind != "folder":
        wanted = [entry for entry in tree.entries("") if is_wanted(entry)]
        if len(wanted) != 1 or not wanted[0].is_dir() or wanted[0].name.lower() in SPLIT_FOLDERS:
            break
        inner = open_tree(tree.root / wanted[0].name)
        if not (wanted_folders(inner, "") or find_tables(inner)):
            break
        tree = inner
    return tree


def _read_layout(tree: Tree) -> ImageFolder:
    splits = _split_folders(tree)
    walk = Walk(tree)
    if splits:
        for name in sorted(splits):
            walk.read_classes(name, splits[name])
        walk.leave_out_siblings(splits)
    else:
        walk.read_classes("", None)
    class_names, files = walk.files.classified()
    layout: Layout = "splits" if splits else "classes"
    left_out = tuple(walk.left_out)
    return ImageFolder(tree.root, layout, class_names, files, left_out, tree.kind)


def _split_folders(tree: Tree) -> dict[str, Split]:
    """Find ``train/``, ``val/``, ``test/``; empty where the folders are classes."""
    folders = wanted_folders(tree, "")
    splits = {
        name: SPLIT_FOLDERS[name.lower()] for name in folders if name.lower() in SPLIT_FOLDERS
    }
    # A lone train/ that holds class folders is no class itself.
    alone = len(splits) == 1 == len(folders) and any(wanted_folders(tree, name) for name in splits)
    if len(splits) <= 1 and not alone:
        return {}
    for split in set(splits.values()):
        names = sorted(name for name in splits if splits[name] == split)
        if len(names) > 1:
            raise DataError(
                f"{tree.root} has {_names(names)}, which mean the same: keep one of them."
            )
    if "train" not in splits.values():
        raise DataError(
            f"{tree.root} has {_names(sorted(splits))} but no train/: put the training images into "
            "train/, with one sub-folder per class."
        )
    return splits


_FOLDER_REMEDY = "put the images into one sub-folder per class, for example cats/ and dogs/"

_REMEDIES: dict[Kind, str] = {
    "shards": "put a .cls or .json file with its class beside each image",
    "parquet": "give each row a label",
}


def _require_classes(folder: ImageFolder, min_classes: int) -> None:
    """Refuse a folder with too few classes; the message fits what lies there instead."""
    for name in folder.class_names:
        if not is_plain_text(name):  # Class names are written into bundles and shown to people.
            raise DataError(
                f"The class folder {name!r} in {folder.root} has control characters, line breaks "
                "or bytes that are no text: rename it."
            )
    if not min_classes or (folder.files and len(folder.class_names) >= min_classes):
        return
    root = folder.root
    remedy = _REMEDIES.get(folder.kind, _FOLDER_REMEDY)
    reasons = count_reasons(folder.left_out)
    if folder.class_names and not folder.files:
        raise DataError(
            f"The CSV file lists no image that exists in {root} ({reasons}): correct its paths."
        )
    if not folder.class_names:
        loose = [
            item.path
            for item in folder.left_out
            if item.reason == "no_class" and is_image_name(item.path)
        ]
        if loose:
            raise DataError(f"{root} has {len(loose)} images but no class folders: {remedy}.")
        because = f" ({reasons})" if reasons else ""
        raise DataError(f"{root} has no images{because}: {remedy}.")
    only = folder.class_names[0]
    if folder.kind in _REMEDIES:
        raise DataError(
            f"{root} has images of one class, {only!r}; a classifier needs two: {remedy}."
        )
    place, inner = _inner_folders(folder)
    hint = f", or give {root / place}, which has the folders {_names(inner)}" if inner else ""
    raise DataError(
        f"{root} has one class folder with images, {only!r}; a classifier needs two: "
        f"{remedy}{hint}."
    )


def _inner_folders(folder: ImageFolder) -> tuple[str, list[str]]:
    """Find folders with images inside the only class: often the given folder is some too high.

    Returns:
        The path of the folder that they lie in, and their names; none where there is but one.
    """
    places = {posixpath.dirname(path) for path in folder.files.paths}
    # A CSV file may list whole paths beside others.
    if folder.layout == "splits" or len({posixpath.isabs(place) for place in places}) > 1:
        return "", []
    shared = posixpath.commonpath(places)
    names = {
        place[len(shared) :].lstrip("/").partition("/")[0] for place in places if place != shared
    }
    return shared, sorted(names) if len(names) > 1 else []


def _names(names: Sequence[str], most: int = 10) -> str:
    """Join names for a message, ten at most."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def is_collection(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is that of many images: a folder, an archive, a folder in one, shards."""
    if os.path.isdir(path) or is_pattern(path):  # noqa: PTH112 - takes bytes that are no text
        return True
    place = find_archive(os.fsdecode(path))
    if place is None:
        return False
    is_row = place.member and place.archive.suffix.lower() == ".parquet"
    return not is_row and not is_image_name(place.member)


def find_images(directory: str | os.PathLike[str]) -> list[str]:
    """List all files in a folder and below that look like images.

    Args:
        directory: The folder, ZIP or tar file, or shards.

    Returns:
        Paths that begin with `directory`, byte-sorted, those of shards in their order; hidden and
        system files are left out.

    Raises:
        DataError: It does not exist, or cannot be read.
    """
    if shards := _given_shards(directory):
        return [os.path.join(shards[0], path) for path in list_shard_images(*shards)]  # noqa: PTH118
    tree = open_tree(directory)
    walk = Walk(tree)
    walk.read_tree()
    paths = sorted(walk.files.paths, key=os.fsencode)
    if not paths and tree.kind == "folder":
        paths = list(list_shard_images(tree.root, shards_below(tree)))
    return [os.path.join(directory, path) for path in paths]  # noqa: PTH118 - as it was given
