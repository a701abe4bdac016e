"""The preview: a contact sheet of a few images of each class, plain and augmented."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from imgclf.atomic import write_atomically
from imgclf.data.batches.augmentation import Augmentation, augment, resolve_augmentation
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import read_folder
from imgclf.data.store.pixel_store import PixelStore, StoreMode, open_store
from imgclf.errors import ArgumentError

__all__ = ["save_preview"]

IMAGES_PER_CLASS = 3
VERSIONS = 3
"""Augmented versions beside each image."""

MOST_CLASSES = 30
GAP = 4
LINE = 16
"""Height of a line of text, in pixels."""


def save_preview(
    directory: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    image_size: tuple[int, int] = (96, 96),
    augmentation: str | Augmentation = "light",
    seed: int = 0,
    store: StoreMode = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Draw a few images of each class, each followed by augmented versions.

    Args:
        directory: A folder of class folders, or of ``train/`` and others.
        path: The file to write, ending in ``.png`` or ``.jpg``; an existing one is replaced.
        image_size: ``(height, width)`` in pixels.
        augmentation: A preset's name or an `Augmentation`.
        seed: Chooses images and variations.
        store: Where decoded pixels are kept.
        progress: Called while scanning with the number of files done and in all.

    Returns:
        `path`.

    Raises:
        DataError: The folder cannot be used.
        ArgumentError: `path` does not end as an image file does.
        WriteError: `path` cannot be written.
    """
    file_format = Image.registered_extensions().get(Path(path).suffix.lower())
    if file_format not in Image.SAVE:
        raise ArgumentError(
            f"The preview cannot be written to {os.fspath(path)!r}: give a file that ends in .png."
        )
    resolved = resolve_augmentation(augmentation)
    folder = read_folder(directory, min_classes=1)
    opened = open_store(folder, InputPolicy(image_size), mode=store, progress=progress)
    sheet = _draw(opened, resolved, seed)
    content = io.BytesIO()
    sheet.save(content, file_format)
    write_atomically(Path(path), content.getvalue())
    return Path(path)


def _draw(store: PixelStore, augmentation: Augmentation, seed: int) -> Image.Image:
    height, width = store.pixels.rows(_chosen(store, 0, seed)[:1]).shape[1:3]
    names = store.folder.class_names[:MOST_CLASSES]
    columns = IMAGES_PER_CLASS * (1 + VERSIONS)
    size = columns * (width + GAP) + 2 * GAP, len(names) * (height + LINE + GAP) + LINE
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, 2), f"Each image, then {VERSIONS} varied versions of it", fill="grey")
    for label, name in enumerate(names):
        top = LINE + label * (height + LINE + GAP)
        pen.text((GAP, top), name.encode("latin-1", "replace").decode("latin-1"), fill="black")
        for column, pixels in enumerate(_row(store, augmentation, label, seed)):
            sheet.paste(Image.fromarray(pixels), (GAP + column * (width + GAP), top + LINE))
    return sheet


def _row(
    store: PixelStore, augmentation: Augmentation, label: int, seed: int
) -> list[NDArray[np.uint8]]:
    """Return a class' images, each followed by its versions."""
    shown: list[NDArray[np.uint8]] = []
    for row in _chosen(store, label, seed):
        rows = np.array([row])
        image = store.pixels.rows(rows)
        versions = [
            augment(image, rows, augmentation, seed=seed, epoch=n)[0] for n in range(VERSIONS)
        ]
        shown += [image[0], *versions]
    return shown


def _chosen(store: PixelStore, label: int, seed: int) -> NDArray[np.int64]:
    """Choose usable training images of a class."""
    usable = [
        row
        for row, (file, result) in enumerate(zip(store.folder.files, store.scanned, strict=True))
        if file.label == label and result.accepted and file.split in (None, "train")
    ]
    order = np.random.default_rng(abs(seed)).permutation(len(usable))[:IMAGES_PER_CLASS]
    return np.array(usable, np.int64)[order]
