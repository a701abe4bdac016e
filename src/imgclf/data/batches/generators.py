"""`make_generators`: image folders to training and validation batches, in one call."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from imgclf.arguments import checked_path, checked_sides, require_number, whole_number
from imgclf.data.batches.augmentation import Augmentation, resolve_augmentation
from imgclf.data.batches.batch_size import usual_batch_size
from imgclf.data.batches.dataset import Batches
from imgclf.data.batches.image_data import build_data
from imgclf.data.batches.plan import Plan
from imgclf.data.division.samples import left_out_lines
from imgclf.data.pixels.input_policy import DataFormat, InputPolicy, ResizeMode
from imgclf.data.reading.layout import read_folders
from imgclf.data.store.pixel_store import StoreMode
from imgclf.errors import warn_of

__all__ = ["make_generators"]


def make_generators(
    train_dir: str | os.PathLike[str],
    val_dir: str | os.PathLike[str] | None = None,
    *,
    image_size: int | tuple[int, int] = (96, 96),
    batch_size: int | None = None,
    augment: str | Augmentation = "light",
    shear_range: float | None = None,
    zoom_range: float | None = None,
    horizontal_flip: bool | None = None,
    val_horizontal_flip: bool = False,
    val_split: float = 0.15,
    channels: Literal[1, 3] = 3,
    resize: ResizeMode = "stretch",
    data_format: DataFormat = "channels_last",
    seed: int = 0,
    store: StoreMode = "auto",
    strict: bool = False,
    group_by: str | None = None,
    near_duplicates: bool = True,
    split_file: str | os.PathLike[str] | None = None,
    oversample: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Batches, Batches]:
    """Make training and validation batches of image folders.

    Every file is decoded once, before this returns; unreadable ones are left out and named in a
    log warning. Pass the batches to `imgclf.fit` or to Keras' ``model.fit``.

    Args:
        train_dir: Folder with one sub-folder per class; or a folder with ``train/`` and ``val/``
            in it, when `val_dir` is None; or a ZIP or CSV file in its place.
        val_dir: A folder like `train_dir` with other images; None takes ``val/`` beside
            ``train/``, or cuts `val_split` off `train_dir`.
        image_size: ``(height, width)`` in pixels; one number is a square.
        batch_size: Images per batch, from 1 on; None is 16 up to 2,000 training images, and more
            for more.
        augment: Augmentation of the training images: ``"none"``, ``"classic"``, ``"light"``,
            ``"strong"`` or an `Augmentation`.
        shear_range: Largest shear, in degrees; replaces the preset's.
        zoom_range: Largest relative zoom, 0 to 1; replaces the preset's.
        horizontal_flip: Whether half of the training images are mirrored; replaces the preset's.
        val_horizontal_flip: Whether half of the validation images are mirrored. The origin's
            recipe did; it is off here because it measures accuracy on pictures that nobody
            took, and makes two measurements of one model differ for no reason.
        val_split: Share of the images that is cut off for validation, by content.
        channels: 3 for colour, 1 for grey.
        resize: ``"stretch"``, ``"crop"`` or ``"pad"``; see `InputPolicy`.
        data_format: Order of a batch's axes.
        seed: Decides split, order and augmentation.
        store: Where decoded pixels are kept: ``"auto"``, ``"memory"``, ``"disk"`` or ``"off"``.
        strict: Raise at the first unreadable image instead of leaving it out with a
            `DataWarning`.
        group_by: A regular expression over paths, such as ``"patient[0-9]+"``: images with the
            same match stay on one side when `val_split` is cut off.
        near_duplicates: Whether images that look the same stay on one side too, and are left out of
            a validation folder where they are in training; otherwise only the same files.
        split_file: The ``split.csv`` of an earlier run: its images keep their sides, new ones join
            the side of their copies or are divided by content.
        oversample: Whether images of rare classes come several times in a training epoch, each time
            varied in another way, so that all classes are equally frequent; the other way
            to the same end is ``class_weight="balanced"`` of `imgclf.fit`.
        progress: Called while scanning with the number of files done and in all.

    Returns:
        Training and validation batches. Validation batches are never shuffled.

    Raises:
        DataNotFoundError: A folder does not exist.
        DataError: A folder cannot be used; the message says what to change.
        ArgumentError: An argument is out of range.

    Example:
        >>> train, val = imgclf.make_generators("data/train", "data/val")    # doctest: +SKIP
        >>> model = imgclf.build_model("three_conv", train.input_shape)      # doctest: +SKIP
    """
    plan = Plan(
        train_dir=_absolute("train_dir", train_dir),
        val_dir=None if val_dir is None else _absolute("val_dir", val_dir),
        test_dir=None,
        policy=InputPolicy(checked_sides(image_size), channels, resize, data_format),
        batch_size=1 if batch_size is None else whole_number("batch_size", batch_size),
        augmentation=resolve_augmentation(
            augment, shear_range=shear_range, zoom_range=zoom_range, horizontal_flip=horizontal_flip
        ),
        val_horizontal_flip=val_horizontal_flip,
        val_split=require_number(
            "val_split", val_split, 0, 1, accepted="a share from 0 to 1 (exclusive)"
        ),
        seed=whole_number("seed", seed, least=None),
        store=store,
        strict=strict,
        group_by=group_by,
        near_duplicates=near_duplicates,
        split_file=None if split_file is None else _absolute("split_file", split_file),
        oversample=oversample,
    )
    folders = read_folders(train_dir, val_dir)
    if batch_size is None:
        plan = replace(plan, batch_size=usual_batch_size(len(folders["train"].files)))
    data = build_data(plan, progress, folders=folders)
    warn_of(left_out_lines(data.quarantined))
    return data.train, data.val


def _absolute(name: str, path: Any) -> str:
    return os.path.abspath(checked_path(name, path))  # noqa: PTH100 - resolve() would follow links
