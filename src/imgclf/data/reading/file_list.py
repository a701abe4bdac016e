"""The files of a collection while it is listed, before its classes have their indices."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING

from imgclf.data.reading.image_folder import ImageFile, ImageFiles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgclf.data.reading.image_folder import Split
    from imgclf.data.reading.members import Span

__all__ = ["FileList"]


class FileList:
    """Collects files with the names of their classes.

    Attributes:
        num_files: How many there are.
    """

    def __init__(self, class_names: Iterable[str] = ()) -> None:
        """Begin with classes that may have no file."""
        self._numbers: dict[str, int] = {}
        for name in class_names:
            self._numbers.setdefault(name, len(self._numbers))
        self._files = ImageFiles()

    @property
    def num_files(self) -> int:
        """How many files there are."""
        return len(self._files)

    @property
    def paths(self) -> Iterable[str]:
        """The paths of the files."""
        return self._files.paths

    def add(
        self,
        path: str,
        class_name: str,
        split: Split | None,
        version: int,
        *,
        group: str = "",
        span: Span | None = None,
    ) -> None:
        """Add a file."""
        number = self._numbers.setdefault(class_name, len(self._numbers))
        self._files.append(ImageFile(path, number, split, version, group, span))

    def classified(self, *, in_order: bool = False) -> tuple[tuple[str, ...], ImageFiles]:
        """Return the names of the classes, byte-sorted, and the files with their indices.

        Args:
            in_order: Leave the files as they were added; otherwise they are sorted by path.
        """
        class_names = tuple(sorted(self._numbers, key=os.fsencode))
        places = {name: place for place, name in enumerate(class_names)}
        files = self._files.relabelled([places[name] for name in self._numbers])
        return class_names, files if in_order else _sorted_by_path(files)


def _sorted_by_path(files: ImageFiles) -> ImageFiles:
    """Sort files, which mostly are sorted already: a million of them are then left alone."""
    if all(one <= other for one, other in pairwise(map(os.fsencode, files.paths))):
        return files
    paths = list(map(os.fsencode, files.paths))
    return ImageFiles(files[place] for place in sorted(range(len(files)), key=paths.__getitem__))
