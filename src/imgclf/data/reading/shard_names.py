"""The names of shards: in a folder, or as a pattern such as ``shards/{000..099}.tar``."""

from __future__ import annotations

import glob
import os
import re
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from imgclf.data.reading.walk import is_wanted, wanted_folders
from imgclf.errors import DataError, DataNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgclf.data.reading.image_folder import Kind
    from imgclf.data.reading.trees import Tree

__all__ = ["SHARD_ENDINGS", "is_pattern", "match_shards", "shards_below"]

SHARD_ENDINGS: dict[str, Kind] = {".tar": "shards", ".parquet": "parquet"}

MAX_SHARDS = 1_000_000

_BRACES = re.compile(r"\{([^{}/]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})", re.ASCII)


def shards_below(tree: Tree) -> list[str]:
    """List the shards in a folder, or in folders right in it, byte-sorted.

    Args:
        tree: A folder on the disk.

    Returns:
        Their paths, relative to it.
    """
    found = list(_shards_in(tree, ""))
    for folder in wanted_folders(tree, ""):
        found += _shards_in(tree, folder)
    return sorted(found, key=os.fsencode)


def _shards_in(tree: Tree, folder: str) -> Iterator[str]:
    try:
        entries = tree.entries(folder)
    except OSError:
        return
    for entry in entries:
        if is_wanted(entry) and _is_shard_name(entry.name) and not entry.is_dir():
            yield f"{folder}/{entry.name}" if folder else entry.name


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is that of no file, and can stand for several shards."""
    text = os.fsdecode(path)
    is_one = _is_shard_name(text) and any(sign in text for sign in "{*?[")
    return is_one and not os.path.lexists(text)


def match_shards(pattern: str | os.PathLike[str]) -> tuple[Path, list[str]]:
    """Find the shards that a pattern stands for.

    Args:
        pattern: A path with ``{000..099}``, ``{a,b}``, ``*``, ``?`` or ``[0-9]`` in it.

    Returns:
        The folder that all of them lie in, and their paths, relative to it.

    Raises:
        DataNotFoundError: A shard that the braces name, or any that fits, is not there.
        DataError: The braces stand for too many.
    """
    whole = os.path.abspath(os.fsdecode(pattern))  # noqa: PTH100 - resolve() would follow links
    found: list[str] = []
    for name in _expand_braces(whole):
        matched = sorted(glob.glob(name), key=os.fsencode)  # noqa: PTH207 - it may be absolute
        if not matched:
            raise DataNotFoundError(f"The shard {name} does not exist: check the pattern.")
        found += matched
    found = list(dict.fromkeys(found))
    root = os.path.commonpath([os.path.dirname(path) for path in found])  # noqa: PTH120
    return Path(root), [os.path.relpath(path, root).replace(os.sep, "/") for path in found]


def _expand_braces(pattern: str) -> Iterator[str]:
    texts = _BRACES.split(pattern)  # Every second one stood between braces.
    choices = [_choices(text) if place % 2 else [text] for place, text in enumerate(texts)]
    count = 1
    for one in choices:
        count *= len(one)
    if count > MAX_SHARDS:
        raise DataError(f"{pattern} stands for {count:,} shards, more than {MAX_SHARDS:,}.")
    return map("".join, product(*choices))


def _choices(text: str) -> list[str] | _Numbers:
    """Return what braces stand for: a range of numbers, or a list of texts."""
    bounds = _RANGE.fullmatch(text)
    return _Numbers(*bounds.groups()) if bounds else text.split(",")


class _Numbers:
    """The numbers of a range, as wide as its first one; none of them made before it is needed."""

    def __init__(self, first: str, last: str) -> None:
        self._width = len(first)
        self._numbers = range(int(first), int(last) + 1)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return (f"{number:0{self._width}}" for number in self._numbers)


def _is_shard_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SHARD_ENDINGS  # noqa: PTH122
