"""A CSV file that lists images and their classes, in place of class folders."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Literal

from imgclf.data.folder import SPLIT_FOLDERS, FoundFile, ImageFolder, LeftOut
from imgclf.errors import DataError

__all__ = ["is_table", "read_table"]

REQUIRED = ("path", "label")
OPTIONAL = ("split", "group")


def is_table(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is that of a CSV file."""
    return Path(path).suffix.lower() == ".csv" and Path(path).is_file()


def read_table(path: str | os.PathLike[str]) -> ImageFolder:
    """Read which images a CSV file lists; nothing is opened or decoded.

    The columns ``path`` (relative to the CSV file's folder, or absolute) and ``label`` are needed;
    ``split`` (train, val or test) and ``group`` (images of one group stay on one side) are not.

    Args:
        path: The CSV file, UTF-8.

    Returns:
        Its images, as if they lay in class folders.

    Raises:
        DataError: The file is no such table; the message names the line.
    """
    rows = _rows(path)
    class_names = tuple(sorted({row["label"] for _, row in rows}, key=os.fsencode))
    has_splits = any(row.get("split") for _, row in rows)
    root = Path(os.path.abspath(path)).parent  # noqa: PTH100 - resolve() would follow links
    files: list[FoundFile] = []
    left_out: list[LeftOut] = []
    for line, row in rows:
        split = SPLIT_FOLDERS.get((row.get("split") or "").lower())
        if has_splits and split is None:
            raise DataError(
                f"{path}, line {line}: split {row.get('split')!r} is not accepted: "
                "give train, val or test in every line, or in none."
            )
        try:
            info = (root / row["path"]).stat()
        except (OSError, ValueError):
            left_out.append(LeftOut(row["path"], "unreadable"))
            continue
        times = info.st_size, info.st_mtime_ns, info.st_ctime_ns
        label, group = class_names.index(row["label"]), row.get("group") or ""
        files.append(FoundFile(row["path"], label, split, *times, group))
    files.sort(key=lambda file: os.fsencode(file.path))
    layout: Literal["classes", "splits"] = "splits" if has_splits else "classes"
    return ImageFolder(root, layout, class_names, tuple(files), tuple(left_out))


def _rows(path: str | os.PathLike[str]) -> list[tuple[int, dict[str, str]]]:
    """Read the lines with their numbers; every path stands in one line only."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if set(REQUIRED) - set(reader.fieldnames or ()):
        raise DataError(
            f"{path} has the columns {', '.join(reader.fieldnames or ()) or 'none'}: "
            f"it needs {' and '.join(REQUIRED)}, and may have {' and '.join(OPTIONAL)}."
        )
    rows: list[tuple[int, dict[str, str]]] = []
    seen: dict[str, int] = {}
    for row in reader:
        line = reader.line_num
        if not row["path"] or not row["label"]:
            raise DataError(f"{path}, line {line}: path or label is missing: fill in both.")
        if (before := seen.setdefault(row["path"], line)) != line:
            raise DataError(
                f"{path}, line {line}: {row['path']!r} stands in line {before} already: "
                "list each image once."
            )
        rows.append((line, row))
    return rows
