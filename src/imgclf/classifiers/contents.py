"""The content of a classifier's file, given as bytes or as an open file, on disk for a while."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from imgclf.errors import ArgumentError, BundleError

__all__ = ["Content", "on_disk"]

Content = bytes | bytearray | memoryview | IO[bytes]


@contextmanager
def on_disk(content: Content) -> Iterator[Path]:
    """Write the content of a classifier's file into a temporary file.

    Args:
        content: Bytes, or a file that is open for reading in binary mode.

    Yields:
        The file, which is removed afterwards. A `BundleError` that names it is raised with other
        words in its place.

    Raises:
        ArgumentError: It is neither.
        BundleError: As raised inside, or the file gives text.
    """
    with tempfile.TemporaryDirectory(prefix="imgclf-") as folder:
        path = Path(folder) / "classifier.imgclf"
        _write(content, path)
        try:
            yield path
        except BundleError as error:
            named = "(the given bytes)"
            raise BundleError(str(error).replace(str(path), named)) from error


def _write(content: Content, path: Path) -> None:
    if isinstance(content, (bytes, bytearray, memoryview)):
        path.write_bytes(content)
        return
    if not hasattr(content, "read"):
        raise ArgumentError(
            f"{type(content).__name__} is no classifier's file: give a path, its content as bytes, "
            "or a file that is open in binary mode."
        )
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(content, file)
    except TypeError as error:
        raise ArgumentError(
            "The open file gives text: open the classifier's file in binary mode, open(path, 'rb')."
        ) from error
