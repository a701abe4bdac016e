"""A CSV file that lists images and their classes, in place of class folders."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imgclf.data.reading.csv_rows import csv_rows, shortened
from imgclf.data.reading.file_list import FileList
from imgclf.data.reading.image_folder import SPLIT_FOLDERS, ImageFolder, version_of
from imgclf.data.reading.left_out import LeftOut, why_missing
from imgclf.data.reading.members import MAX_MEMBERS
from imgclf.data.reading.walk import is_wanted
from imgclf.errors import DataError, ImageError
from imgclf.machine.plain_text import is_plain_text

if TYPE_CHECKING:
    from imgclf.data.reading.image_folder import Layout
    from imgclf.data.reading.trees import Tree

__all__ = ["find_tables", "is_table", "read_table"]

REQUIRED = ("path", "label")
OPTIONAL = ("split", "group")


def is_table(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is that of a CSV file."""
    return Path(path).suffix.lower() == ".csv" and Path(path).is_file()


def find_tables(tree: Tree) -> list[str]:
    """Find the CSV files at the top of a tree that have the columns of an image list."""
    names = []
    for entry in tree.entries(""):
        if is_wanted(entry) and entry.name.lower().endswith(".csv") and not entry.is_dir():
            with suppress(DataError):
                columns, _ = csv_rows(tree.root / entry.name, _content(tree, entry.name))
                names += [entry.name] if set(REQUIRED) <= set(columns) else []
    return names


def read_table(tree: Tree, name: str) -> ImageFolder:
    """Read the images that a CSV file lists; no image is opened.

    The columns ``path`` (relative to the CSV file's folder, or absolute) and ``label`` are needed;
    ``split`` (train, val or test) and ``group`` (its images stay on one side) are optional.

    Args:
        tree: The folder or ZIP file that the CSV file lies in.
        name: The CSV file, UTF-8.

    Returns:
        Its images, as if they lay in class folders.

    Raises:
        DataError: The file is no such table; the message names the line.
    """
    path = tree.root / name
    rows = _rows(path, _content(tree, name), None if tree.kind == "folder" else MAX_MEMBERS)
    files = FileList(row["label"] for _, row in rows)
    has_splits = any(row.get("split") for _, row in rows)
    left_out: list[LeftOut] = []
    for line, row in rows:
        split = SPLIT_FOLDERS.get(row.get("split", "").lower())
        if has_splits and split is None:
            raise DataError(
                f"{path}, line {line}: split {shortened(row.get('split', ''))} is not accepted: "
                "give train, val or test in every line, or in none."
            )
        try:
            info = tree.status(row["path"])
        except (FileNotFoundError, NotADirectoryError):
            left_out.append(LeftOut(row["path"], why_missing(row["path"])))
            continue
        except (OSError, ValueError):
            left_out.append(LeftOut(row["path"], "unreadable"))
            continue
        group = row.get("group", "")
        files.add(row["path"], row["label"], split, version_of(info), group=group)
    class_names, sorted_files = files.classified()
    layout: Layout = "splits" if has_splits else "classes"
    return ImageFolder(tree.root, layout, class_names, sorted_files, tuple(left_out), tree.kind)


def _content(tree: Tree, name: str) -> bytes:
    try:
        return tree.read(name)
    except (OSError, ImageError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{tree.root / name} cannot be read ({reason}).") from error


def _rows(path: Path, content: bytes, most: int | None) -> list[tuple[int, dict[str, str]]]:
    """Read the lines with their numbers; every path stands in one line only."""
    columns, found = csv_rows(path, content)
    if set(REQUIRED) - set(columns):
        raise DataError(
            f"{path} has the columns {', '.join(columns) or 'none'}: it needs "
            f"{' and '.join(REQUIRED)}, and may have {' and '.join(OPTIONAL)}."
        )
    rows: list[tuple[int, dict[str, str]]] = []
    seen: dict[str, int] = {}
    for line, row in found:
        if len(rows) == most:
            raise DataError(f"{path} lists more than {most:,} images: unpack it, give the folder.")
        if not row["path"] or not row["label"]:
            raise DataError(f"{path}, line {line}: path or label is missing: fill in both.")
        if not is_plain_text(row["label"]):
            raise DataError(
                f"{path}, line {line}: the label {shortened(row['label'])} has control characters, "
                "line breaks or bytes that are no UTF-8: save the file as CSV UTF-8."
            )
        if (before := seen.setdefault(row["path"], line)) != line:
            raise DataError(
                f"{path}, line {line}: {shortened(row['path'])} is in line {before} already: "
                "list each image once."
            )
        rows.append((line, row))
    if not rows:
        raise DataError(f"{path} lists no images: give a path and a label in each line.")
    return rows
