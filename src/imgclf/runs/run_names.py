"""The names of run folders that nobody has named, and which of them is the newest."""

from __future__ import annotations

import datetime
import itertools
import re
import secrets
from pathlib import Path

from imgclf.atomic import MOST_OF_A_NAME, make_folder, write_text_atomically
from imgclf.errors import RunFolderError

__all__ = ["NEWEST_NAME", "follow_newest", "make_run_folder", "point_to_newest"]

NEWEST_NAME = "last"

_RUN_NAME = re.compile(r"(\d{4}-\d\d-\d\d-\d{6})(?:-(\d+))?-")


def make_run_folder(architecture: str, parent: Path = Path("runs")) -> Path:
    """Make the folder of a new run, and let ``last`` beside it point to it.

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
        folder = parent / f"{now:%Y-%m-%d-%H%M%S}{again}-{name}"
        try:
            folder.mkdir()
        except FileExistsError:  # Another training began in this second.
            continue
        except OSError as error:
            raise RunFolderError(
                f"The run folder {folder} cannot be made ({error.strerror}): give another one."
            ) from error
        break
    point_to_newest(parent)
    return folder


def point_to_newest(parent: Path) -> None:
    """Let ``last`` be a link to the newest run folder; a file with its name where links fail.

    Args:
        parent: Where runs lie; what somebody else has called ``last`` stays.
    """
    newest = parent / NEWEST_NAME
    if newest.is_dir() and not newest.is_symlink():
        return
    begun = {
        (found[1], int(found[2] or 1)): item.name
        for item in parent.iterdir()
        if (found := _RUN_NAME.match(item.name))
    }
    if not begun:
        newest.unlink(missing_ok=True)
        return
    name = begun[max(begun)]
    link = parent / f".{NEWEST_NAME}.{secrets.token_hex(4)}"
    try:
        link.symlink_to(name, target_is_directory=True)
        link.replace(newest)
    except OSError:  # Windows lets few people make links.
        newest.unlink(missing_ok=True)
        write_text_atomically(newest, f"{name}\n")
    finally:
        link.unlink(missing_ok=True)


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
    named = path.parent / lines[0] if lines and _RUN_NAME.match(lines[0]) else path
    return named if named.parent == path.parent else path
