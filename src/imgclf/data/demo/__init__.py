"""The demo images: a part of Fashion-MNIST, shipped with the package."""

from __future__ import annotations

import zipfile
from importlib.resources import as_file, files
from pathlib import Path

from imgclf.atomic import make_folder, write_atomically

__all__ = ["unpack_images"]


def unpack_images(directory: Path) -> Path:
    """Unpack the images into ``train/`` and ``test/`` with ten class folders each.

    Args:
        directory: Where to; files that are there already are left as they are.

    Returns:
        `directory`, with 1,700 grey PNG images of 28 x 28 pixels for training and 400 for the test.

    Raises:
        WriteError: An image cannot be written.
    """
    with as_file(files(__name__) / "fashion_mnist.zip") as path, zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            target = directory / name
            if not target.exists():
                make_folder(target.parent)
                write_atomically(target, archive.read(name), synced=False)
    return directory
