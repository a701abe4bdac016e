"""What is left out of an image folder, and why."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LEFT_OUT_REASONS", "LeftOut", "count_reasons", "why_missing"]

MOST_REASONS = 3
"""Reasons that a message counts; nobody reads more of them in one line."""

LONGEST_EXAMPLE = 200
"""Characters of an example; names in ZIP files can have 65,535."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is not used, and why.

    Attributes:
        path: Relative to the folder's root.
        reason: A key of `LEFT_OUT_REASONS`.
    """

    path: str
    reason: str


LEFT_OUT_REASONS: dict[str, tuple[str, str]] = {
    "hidden": ("hidden files or folders", "Nothing to do."),
    "system": ("files that the operating system left", "Nothing to do."),
    "unknown_ending": (
        "files whose names do not end like an image's",
        "Rename them if they are images, for example to .jpg or .png.",
    ),
    "no_class": (
        "files beside the class folders",
        "Move them into the folder of their class if they are images.",
    ),
    "empty_folder": (
        "folders without any image",
        "Put images into them, or leave them: they change nothing.",
    ),
    "beside_splits": (
        "things beside the split folders",
        "Move them into train/, val/ or test/ if they are to be used.",
    ),
    "link_loop": (
        "links that lead back up",
        "Let them lead elsewhere: they hold other classes too.",
    ),
    "linked_twice": ("links to folders that were read already", "Their images count once."),
    "unsafe_path": (
        "members of the archive whose names lead out of it",
        "Do not unpack it before you know who made it.",
    ),
    "link_in_archive": ("links in the archive", "Pack the files that they lead to."),
    "no_plain_file": (
        "devices, pipes and sparse files in the archive",
        "Pack the images as plain files.",
    ),
    "too_deep": (
        "members of the archive in more than 100 folders, or with endless names",
        "Pack the folder again, without so many folders in each other.",
    ),
    "stored_twice": (
        "members of the archive whose names are taken already",
        "Pack the folder again.",
    ),
    "cut_off": (
        "members of archives that are cut off before their end",
        "Copy or download these archives again.",
    ),
    "damaged_archive": (
        "archives that are damaged; their other images are used",
        "Copy or download them again.",
    ),
    "no_label": (
        "images in shards without a label beside them",
        "Add a .cls or .json file of the same name to each.",
    ),
    "unreadable": (
        "files, folders or links that cannot be read",
        "Correct their permissions.",
    ),
    "missing": (
        "paths or links that lead to no file",
        "Correct them: paths are relative to the folder of the CSV file.",
    ),
    "missing_backslash": (
        r"paths with \ that lead to no file",
        "Write them with /, relative to the folder of the CSV file.",
    ),
    "missing_address": (
        "addresses such as file:// or https://, which are no paths",
        "Download the images, and give their paths, relative to the folder of the CSV file.",
    ),
    "missing_home": (
        "paths that begin with ~, which only a shell replaces",
        "Write them whole, or relative to the folder of the CSV file.",
    ),
}
"""Reason codes of `LeftOut`: what was left out, of any number, and what to do about it."""


def why_missing(path: str) -> str:
    """Return the likely reason why a listed path leads to no file, a key of `LEFT_OUT_REASONS`."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path):
        return "missing_address"
    if path.startswith("~"):
        return "missing_home"
    return "missing_backslash" if "\\" in path else "missing"


def count_reasons(left_out: Iterable[LeftOut]) -> str:
    r"""Write how many things were left out for which reason, with an example of each, in one line.

    Args:
        left_out: What was left out.

    Returns:
        The most frequent reasons, such as ``"24 paths with \ that lead to no file, such as
        'a\\1.jpg'"``; empty where nothing was left out.
    """
    paths: dict[str, list[str]] = defaultdict(list)
    for item in left_out:
        paths[item.reason].append(item.path)
    most = sorted(paths.items(), key=lambda item: -len(item[1]))[:MOST_REASONS]
    return "; ".join(
        f"{len(found)} {LEFT_OUT_REASONS[reason][0]}, such as {found[0][:LONGEST_EXAMPLE]!r}"
        for reason, found in most
    )
