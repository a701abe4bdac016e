"""The folder that a training leaves behind: its lock, and the files that describe the run."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from imgclf.atomic import (
    remove_partial_files,
    write_atomically,
    write_csv_atomically,
    write_text_atomically,
)
from imgclf.errors import ImgclfError, RunFolderError, WriteError
from imgclf.machine.terminal import shell_word
from imgclf.runs.run_names import CONFIG_NAME, point_to, point_to_newest

if TYPE_CHECKING:
    from imgclf.data.batches.image_data import ImageData

__all__ = [
    "BUNDLE_NAME",
    "RECORD_NAME",
    "SPLIT_NAME",
    "START_NAME",
    "SUSPECTS_NAME",
    "forget_run",
    "is_stopped",
    "is_trained",
    "lock_folder",
    "mark_done",
    "mark_stopped",
    "open_run_folder",
    "read_config",
    "read_split",
    "sha256_of",
    "split_csv",
    "split_difference",
    "split_rows",
    "write_config",
    "write_history",
]

LOCK_NAME = "lock"
BUNDLE_NAME = "model.imgclf"
START_NAME = "start.imgclf"
SPLIT_NAME = "split.csv"
RECORD_NAME = "record.json"
SUSPECTS_NAME = "suspects.csv"
STOPPED_NAME = "stopped"
DONE_NAME = "done"


@contextmanager
def open_run_folder(path: str | os.PathLike[str], *, resume: bool = False) -> Iterator[Path]:
    """Make a run folder and hold its lock; the lock of a killed process is free again.

    Args:
        path: The folder; it is made with its parents.
        resume: Go on with the run that it holds.

    Yields:
        The folder.

    Raises:
        RunFolderError: Another process trains in it, or it holds a run already (with `resume`:
            holds none, or one that is done); or one of the run's files cannot be written.
    """
    folder = Path(path)
    if resume:
        _require_unfinished(folder)
    with lock_folder(folder, "run folder", "training", RunFolderError):
        # Checkpoints without their configuration would be gone on with, whatever run they are of.
        if not resume and any((folder / name).exists() for name in (CONFIG_NAME, "checkpoints")):
            raise RunFolderError(
                f"The folder {folder} already holds a run: give another run folder, or go on with "
                "--resume."
            )
        for place in (folder, folder / "checkpoints"):
            remove_partial_files(place)
        if not resume:
            point_to(folder)
        try:
            yield folder
        except WriteError as error:
            if not (folder / CONFIG_NAME).exists():
                raise
            raise RunFolderError(
                f"{error} Then continue: imgclf train --resume {folder}"
            ) from error


@contextmanager
def lock_folder(
    folder: Path, kind: str, activity: str, error_class: type[ImgclfError]
) -> Iterator[None]:
    """Make a folder and hold its lock; the lock of a killed process is free again.

    Args:
        folder: The folder; it is made with its parents.
        kind: What messages call the folder, such as ``"run folder"``.
        activity: What the holder of the lock does, such as ``"training"``.
        error_class: Raised where the folder cannot be made or another process holds the lock.

    Yields:
        Nothing; the lock is held until the context is left.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_NAME).open("w")
    except OSError as error:
        raise error_class(
            f"The {kind} {folder} cannot be made ({error.strerror}): give another one."
        ) from error
    with lock:
        _take_lock(lock, f"Another {activity} is running in {folder}", kind, error_class)
        yield


def _take_lock(lock: IO[str], busy: str, kind: str, error_class: type[ImgclfError]) -> None:
    try:
        import fcntl
    except ImportError:  # Not Unix: a second process is not noticed.
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise error_class(f"{busy}: wait for it, or give another {kind}.") from error


def forget_run(folder: Path) -> None:
    """Remove what a training wrote that ended before it had learned anything."""
    for name in (CONFIG_NAME, SPLIT_NAME, START_NAME, STOPPED_NAME, "learning_rate.svg"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    if [item.name for item in folder.iterdir()] == [LOCK_NAME]:
        shutil.rmtree(folder, ignore_errors=True)
        point_to_newest(folder.parent)


def _require_unfinished(folder: Path) -> None:
    read_config(folder)
    if (folder / DONE_NAME).exists():
        raise RunFolderError(
            f"The run in {folder} is done, its classifier is {folder / BUNDLE_NAME}: "
            "to train it further, give it to `imgclf train --from`."
        )


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write every value of a run, defaults included."""
    write_text_atomically(folder / CONFIG_NAME, json.dumps(config, indent=2) + "\n")


def read_config(folder: Path) -> dict[str, Any]:
    """Read what `write_config` wrote.

    Args:
        folder: The run folder.

    Returns:
        Every value of the run.

    Raises:
        RunFolderError: The file is missing or unreadable.
    """
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{folder} holds no run, {CONFIG_NAME} is missing: give a run folder of "
            f"`imgclf train`; if a training in it ended before it began, train again with "
            f"--run-dir {shell_word(str(folder))}."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(
            f"{folder / CONFIG_NAME} cannot be read ({error}): give a whole run folder."
        ) from error
    return config


def read_split(folder: Path) -> bytes:
    """Read the run's ``split.csv``.

    Raises:
        RunFolderError: The file is missing or unreadable.
    """
    try:
        return (folder / SPLIT_NAME).read_bytes()
    except OSError as error:
        raise RunFolderError(
            f"{folder / SPLIT_NAME} cannot be read ({error.strerror}): give a whole run folder."
        ) from error


def is_stopped(folder: Path) -> bool:
    """Return whether the run's training was stopped before its last epoch."""
    return (folder / STOPPED_NAME).exists()


def is_trained(folder: Path) -> bool:
    """Return whether the run's training is over, so that documents are all that may be missing."""
    return not is_stopped(folder) and all(
        (folder / name).exists() for name in (RECORD_NAME, BUNDLE_NAME)
    )


def mark_stopped(folder: Path, stopped: bool) -> None:
    """Note whether the run's classifier is that of a training that was stopped before its end."""
    if stopped:
        write_atomically(folder / STOPPED_NAME, b"")
    else:
        (folder / STOPPED_NAME).unlink(missing_ok=True)


def mark_done(folder: Path) -> None:
    """Note that every file of the run is there: the last thing that is written."""
    write_atomically(folder / DONE_NAME, b"")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_history(folder: Path, history: Mapping[str, Sequence[float]]) -> None:
    """Write one row per epoch, counted from 1, with every figure of Keras' history."""
    rows = zip(*history.values(), strict=True)
    write_csv_atomically(
        folder / "history.csv",
        ["epoch", *history],
        ([epoch, *row] for epoch, row in enumerate(rows, start=1)),
    )


def split_rows(data: ImageData) -> list[tuple[str, str, str, str]]:
    """Return ``(path, sha256, class name, split)`` of each image, for `split_csv`."""
    names = data.train.class_names
    return [
        (sample.path, sample.sha256, names[sample.label], split)
        for split, batches in (("train", data.train), ("val", data.val), ("test", data.test))
        if batches is not None
        for sample in batches.samples
    ]


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


def split_difference(recorded: bytes, found: bytes, most: int = 3) -> str:
    """Say where two divisions differ.

    Args:
        recorded: The ``split.csv`` of a run.
        found: The division of the same folder now.
        most: How many images are named.

    Returns:
        The first differences in words; empty where there is none.
    """
    before, now = (set(content.splitlines()) for content in (recorded, found))
    lines = sorted((before ^ now), key=lambda line: (line.split(b",")[0], line in now))
    named = [
        f"{'now' if line in now else 'recorded'}: {line.decode('utf-8', 'backslashreplace')}"
        for line in lines[:most]
    ]
    more = f" and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(named) + more
