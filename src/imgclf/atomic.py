"""Writing files whole or not at all."""

from __future__ import annotations

import csv
import errno
import io
import os
import secrets
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from imgclf.errors import WriteError, remedy_of

__all__ = [
    "MOST_OF_A_NAME", "PARTIAL", "make_folder", "move_atomically", "remove_partial_files",
    "sync_folder", "write_atomically", "write_csv_atomically", "write_text_atomically",
]  # fmt: skip

PARTIAL = ".partial"

MOST_OF_A_NAME = 50
"""Characters of a name that another one is made from: file systems take 255 bytes, of which a
character can need four."""


def write_atomically(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Replace a file in one step: after a crash or power cut the old or the new one is there.

    Args:
        path: The file, or a link to it, which stays; its folder must exist.
        content: Its new content.
        synced: False saves the time of waiting for the disk, for files that can be made again:
            they survive a crash of the process, not a power cut.

    Raises:
        WriteError: It cannot be written, or is a device, pipe or folder; what was there is as it
            was.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name[:MOST_OF_A_NAME]}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        _require_replaceable(target)
        try:
            _write_whole(partial, content, synced)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        if synced:
            sync_folder(target.parent)
    except OSError as error:
        raise _write_error(path, error) from error


def write_text_atomically(path: Path, text: str, *, synced: bool = True) -> None:
    """Replace a text file in one step; see `write_atomically`.

    Args:
        path: The file.
        text: Its new content, written as UTF-8; names that are not UTF-8 come out as the bytes
            that they are on disk.
        synced: As for `write_atomically`.

    Raises:
        WriteError: It cannot be written; what was there is as it was.
    """
    write_atomically(path, text.encode("utf-8", "surrogateescape"), synced=synced)


def write_csv_atomically(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Replace a CSV file in one step; see `write_text_atomically`.

    Args:
        path: The file.
        columns: Its headings.
        rows: Its rows.

    Raises:
        WriteError: It cannot be written; what was there is as it was.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text_atomically(path, text.getvalue())


def move_atomically(source: Path, target: Path) -> None:
    """Replace a file by another one of the same folder, in one step.

    Args:
        source: A whole file.
        target: Its new name.

    Raises:
        WriteError: It cannot be moved; both are as they were.
    """
    try:
        source.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise _write_error(target, error) from error


def make_folder(folder: Path) -> None:
    """Make a folder with its parents, where it is missing.

    Args:
        folder: The folder.

    Raises:
        WriteError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _write_error(folder, error) from error


def remove_partial_files(folder: Path) -> None:
    """Remove what a killed process was writing; nobody else may be writing there.

    Args:
        folder: Where `write_atomically` wrote.
    """
    for partial in folder.glob(f".*{PARTIAL}"):
        partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _require_replaceable(path: Path) -> None:
    """Refuse what is no regular file: the administrator could replace a device by a file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file")


def _write_whole(path: Path, content: bytes, synced: bool) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        if synced:
            os.fsync(file.fileno())


def _write_error(path: Path, error: OSError) -> WriteError:
    failure = WriteError(
        f"{path} cannot be written ({error.strerror}): "
        f"{remedy_of(error, otherwise='free some space, or give another place')}."
    )
    failure.errno, failure.strerror, failure.filename = error.errno, error.strerror, str(path)
    return failure
