"""The names of run folders, and which of them is the newest."""

from __future__ import annotations

import datetime
import itertools
import re
import secrets
from contextlib import suppress
from pathlib import Path

from imgclf.atomic import MOST_OF_A_NAME, make_folder, write_text_atomically
from imgclf.errors import RunFolderError

__all__ = [
    "CONFIG_NAME", "NEWEST_NAME", "PARENT_NAME", "follow_newest", "make_run_folder", "point_to",
    "point_to_newest",
]  # fmt: skip

CONFIG_NAME = "config.json"
NEWEST_NAME = "last"
PARENT_NAME = "runs"
"""Folders of this name hold runs, and ``last`` in them leads to the newest one."""

_MOMENT = "%Y-%m-%d-%H%M%S"
_RUN_NAME = re.compile(r"(\d{4}-\d\d-\d\d-\d{6})(?:-(\d+))?-")


def make_run_folder(architecture: str, parent: Path = Path("runs")) -> Path:
    """Make the folder of a new run.

    Args:
        architecture: The architecture's name.
        parent: Where runs lie.

    Returns:
        A new folder, named by date, time and architecture: ``runs/2026-03-01-142530-resnet9``; a
        second one of the same second has ``-2`` after the time.

    Raises:
        RunFolderError: It cannot be made.
    """
    now = datetime.datetime.now().astimezone()
    # The name may come out of a classifier's file: it is a part of a folder's name, and no path.
    name = re.sub(r"[^\w.+-]", "_", architecture)[:MOST_OF_A_NAME]
    make_folder(parent)
    for number in itertools.count(1):
        again = f"-{number}" if number > 1 else ""
        folder = parent / f"{now:{_MOMENT}}{again}-{name}"
        try:
            folder.mkdir()
        except FileExistsError:  # Another training began in this second.
            continue
        except OSError as error:
            raise RunFolderError(
                f"The run folder {folder} cannot be made ({error.strerror}): give another one."
            ) from error
        break
    return folder


def point_to(folder: Path) -> None:
    """Let ``runs/last`` lead to a run that begins, if its folder lies in one called ``runs``.

    Args:
        folder: The run folder. Elsewhere nothing is made beside it.
    """
    if folder.absolute().parent.name == PARENT_NAME:
        with suppress(OSError):  # Nobody may write there: the run goes on without.
            _link(folder)


def point_to_newest(parent: Path) -> None:
    """Let ``runs/last`` lead to the newest run that is there, whoever named it.

    Args:
        parent: Where runs lie; in a folder that is not called ``runs`` nothing is done.
    """
    if parent.absolute().name != PARENT_NAME:
        return
    begun = {
        moment: item
        for item in parent.iterdir()
        if item.name != NEWEST_NAME and (moment := _moment_of(item)) is not None
    }
    if begun:
        _link(begun[max(begun)])
    elif not (parent / NEWEST_NAME).is_dir():
        (parent / NEWEST_NAME).unlink(missing_ok=True)


def _link(folder: Path) -> None:
    """Make ``last`` beside a folder a link to it; a file with its name where links fail."""
    newest = folder.parent / NEWEST_NAME
    if folder.name == NEWEST_NAME or (newest.is_dir() and not newest.is_symlink()):
        return
    link = folder.parent / f".{NEWEST_NAME}.{secrets.token_hex(4)}"
    try:
        link.symlink_to(folder.name, target_is_directory=True)
        link.replace(newest)
    except OSError:  # Windows lets few people make links.
        newest.unlink(missing_ok=True)
        write_text_atomically(newest, f"{folder.name}\n")
    finally:
        link.unlink(missing_ok=True)


def _moment_of(folder: Path) -> tuple[str, int] | None:
    """Return when a run began, by its name or else by its settings; None for what is no run."""
    if found := _RUN_NAME.match(folder.name):
        return found[1], int(found[2] or 1)
    try:
        written_ns = (folder / CONFIG_NAME).stat().st_mtime_ns
    except OSError:
        return None
    written = datetime.datetime.fromtimestamp(written_ns / 1e9).astimezone()
    return f"{written:{_MOMENT}}", written_ns


def follow_newest(path: Path) -> Path:
    """Follow a file called ``last``, which stands for a link; any other path is returned as it is.

    Args:
        path: A path that somebody typed.

    Returns:
        The run folder that it leads to.
    """
    if path.name != NEWEST_NAME or not path.is_file():
        return path
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    beside = (item for item in path.parent.iterdir() if lines[:1] == [item.name])
    return next((item for item in beside if item.is_dir()), path)
