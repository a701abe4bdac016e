"""The folder that a training leaves behind (D12): its lock, and the files that describe the run."""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from imgclf.errors import RunFolderError

__all__ = ["default_run_folder", "open_run_folder", "split_csv", "write_config", "write_history"]

LOCK_NAME = "lock"


def default_run_folder(architecture: str, parent: Path = Path("runs")) -> Path:
    """Name a new run by date, time and architecture: ``runs/2026-03-01-142530-resnet9``."""
    now = datetime.datetime.now().astimezone()
    return parent / f"{now:%Y-%m-%d-%H%M%S}-{architecture}"


@contextmanager
def open_run_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a run folder and hold its lock; the lock of a killed process is free again.

    Args:
        path: The folder; it is made with its parents.

    Yields:
        The folder.

    Raises:
        RunFolderError: Another process trains in it, or it holds a run already.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_NAME).open("w")
    except OSError as error:
        raise RunFolderError(
            f"The run folder {folder} cannot be made ({error.strerror}): give another one."
        ) from error
    with lock:
        _take(lock, folder)
        if (folder / "config.json").exists():
            raise RunFolderError(
                f"The folder {folder} already holds a run: give another --run-dir, or remove it."
            )
        yield folder


def _take(lock: IO[str], folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Not Unix: the check for an earlier run has to do.
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise RunFolderError(
            f"Another training is running in {folder}: wait for it, or give another run folder."
        ) from error


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write every value of a run, defaults included."""
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def write_history(folder: Path, history: Mapping[str, Sequence[float]]) -> None:
    """Write one row per epoch, counted from 1, with every figure of Keras' history."""
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        for epoch, row in enumerate(zip(*history.values(), strict=True), start=1):
            writer.writerow([epoch, *row])


def split_csv(rows: Iterable[tuple[str, str, str, str]]) -> tuple[bytes, str]:
    """Write down which image went where.

    Args:
        rows: ``(path, sha256, class name, split)`` of each image.

    Returns:
        The content of ``split.csv``, and its sha256, by which a bundle names the division.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "sha256", "class", "split"])
    writer.writerows(rows)
    # Names that are not UTF-8 come out as the bytes that they are on disk.
    content = text.getvalue().encode("utf-8", "surrogateescape")
    return content, hashlib.sha256(content).hexdigest()
