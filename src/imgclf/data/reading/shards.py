"""Collections in shards: tar files with labels beside the images (WebDataset), or Parquet files."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from imgclf.data.reading.file_list import FileList
from imgclf.data.reading.image_folder import (
    SPLIT_FOLDERS,
    ImageFiles,
    ImageFolder,
    version_of,
)
from imgclf.data.reading.left_out import LeftOut
from imgclf.data.reading.members import MemberStatus
from imgclf.data.reading.parquet_files import open_parquet
from imgclf.data.reading.shard_names import SHARD_ENDINGS
from imgclf.data.reading.tar_files import list_tar
from imgclf.data.reading.walk import IMAGE_ENDINGS, is_image_name, is_wanted_path
from imgclf.errors import DataError
from imgclf.machine.plain_text import is_plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, BinaryIO

    from imgclf.data.reading.image_folder import Layout, Split
    from imgclf.data.reading.members import Span

__all__ = ["list_shard_images", "read_shards"]

NAMES_FILES = ("classnames.txt", "classes.txt")
"""Beside the shards: the names of numbered classes, one a line."""

MAX_LABEL_BYTES = 64 * 1024
"""Of one .cls or .json file."""

MAX_NAMES_BYTES = 4 * 1024**2

LABEL_KEYS = ("class_name", "label", "class", "cls")
"""Where a .json file has the class; the first that is there counts."""


class Sample(NamedTuple):
    """An image in a shard; `class_name` is empty where it has none."""

    member: str
    class_name: str
    version: int
    split: Split | None = None
    group: str = ""
    span: Span | None = None


def read_shards(root: Path, names: Sequence[str]) -> ImageFolder:
    """List the images of shards with their classes; no image is opened.

    A damaged shard is named among what is left out, and its good images are used.

    Args:
        root: The folder that all shards lie in.
        names: Their paths, relative to it, with ``/``; all ``.tar``, or all ``.parquet``.

    Returns:
        Their images, in the order of the shards: reading them so is the fastest. One split alone,
        such as ``test/``, is a collection without splits.

    Raises:
        DataError: The shards are of two formats, or of none that can be read.
    """
    endings = {os.path.splitext(name)[1].lower() for name in names}  # noqa: PTH122
    if len(endings) > 1:
        raise DataError(f"{root} has both .tar and .parquet files: give one of them.")
    is_tar = endings == {".tar"}
    files = FileList()
    left_out: list[LeftOut] = []
    for name in names:
        split_of_name = _split_of_name(name)
        try:
            samples = _tar_samples(root, name, left_out) if is_tar else _parquet_samples(root, name)
            for sample in samples:
                path = f"{name}/{sample.member}"
                if not sample.class_name:
                    left_out.append(LeftOut(path, "no_label"))
                    continue
                split = sample.split or split_of_name
                files.add(
                    *(path, sample.class_name, split, sample.version),
                    group=sample.group,
                    span=sample.span,
                )
        except DataError:
            if len(names) == 1:
                raise
            left_out.append(LeftOut(name, "damaged_archive"))
        except OSError:
            left_out.append(LeftOut(name, "unreadable"))
    class_names, classified = files.classified(in_order=True)
    classified = _with_equal_splits(root, classified, left_out)
    layout: Layout = "splits" if classified.splits else "classes"
    kind = SHARD_ENDINGS[endings.pop()]
    return ImageFolder(root, layout, class_names, classified, tuple(left_out), kind)


def list_shard_images(root: Path, names: Sequence[str]) -> Iterator[str]:
    """Yield the paths of all images in shards, with or without a label, relative to the root.

    Raises:
        DataError: A shard cannot be read.
    """
    for name in names:
        if name.lower().endswith(".parquet"):
            for row in open_parquet(root / name).members:
                yield f"{name}/{row}"
            continue
        try:
            for member in list_tar(root / name):
                if member.span and is_wanted_path(member.name) and is_image_name(member.name):
                    yield f"{name}/{member.name}"
        except OSError as error:
            raise DataError(
                f"The shard {root / name} cannot be read ({error.strerror})."
            ) from error


# --- Splits ----------------------------------------------------------------------------------


def _split_of_name(name: str) -> Split | None:
    """Return the split that a shard's path tells of, as in ``train-00001.tar``."""
    words = re.split(r"[/\\._-]", os.path.splitext(name)[0].lower())  # noqa: PTH122
    told = {SPLIT_FOLDERS[word] for word in words if word in SPLIT_FOLDERS}
    return told.pop() if len(told) == 1 else None


def _with_equal_splits(root: Path, files: ImageFiles, left_out: list[LeftOut]) -> ImageFiles:
    """See to it that all images have a split or none has."""
    splits = files.splits
    if not splits:
        return files
    if len(splits) > 1 and "train" not in splits:
        raise DataError(f"{root} has shards of {' and '.join(sorted(splits))} but none of train.")
    has_all = all(file.split for file in files)
    if len(splits) == 1 and has_all:
        return ImageFiles(replace(file, split=None) for file in files)
    if not has_all:
        left_out += [LeftOut(file.path, "beside_splits") for file in files if not file.split]
        return ImageFiles(file for file in files if file.split)
    return files


# --- Parquet ---------------------------------------------------------------------------------


def _parquet_samples(root: Path, name: str) -> Iterator[Sample]:
    archive = open_parquet(root / name)
    version = version_of(archive.status("0")) if archive.num_rows else 0
    for row, label in enumerate(archive.labels()):
        yield Sample(str(row), _checked_name(label), version)


# --- Tar -------------------------------------------------------------------------------------


def _tar_samples(root: Path, name: str, left_out: list[LeftOut]) -> Iterator[Sample]:
    """Read the images of a shard; files of one image stand behind each other."""
    path = root / name
    numbered = _numbered_names(root, path)
    status = path.stat()
    with path.open("rb", buffering=0) as file:
        for image, labels in _grouped(name, path, left_out):
            class_name, split, group = _read_labels(file, labels, numbered)
            times = MemberStatus(image.span.size, status.st_mtime_ns, status.st_ctime_ns)
            yield Sample(image.name, class_name, version_of(times), split, group, image.span)


class _Image(NamedTuple):
    name: str
    span: Span


def _grouped(
    shard: str, path: Path, left_out: list[LeftOut]
) -> Iterator[tuple[_Image, dict[str, Span]]]:
    """Yield each image with its .cls and .json files."""
    key: tuple[str, str] | None = None
    image: _Image | None = None
    labels: dict[str, Span] = {}
    for name, span, reason in list_tar(path):
        if span is None:
            left_out.append(LeftOut(f"{shard}/{name}" if name else shard, reason))
            continue
        if not is_wanted_path(name):
            continue
        # As WebDataset has it: what stands before the first dot of the name is the key.
        folder, _, last = name.rpartition("/")
        stem, _, ending = last.partition(".")
        if (folder, stem) != key:
            if image is not None:
                yield image, labels
            key, image, labels = (folder, stem), None, {}
        ending = ending.lower()
        if ending in ("cls", "json"):
            labels[ending] = span
        elif f".{ending}" not in IMAGE_ENDINGS:
            continue
        elif image is not None:
            left_out.append(LeftOut(f"{shard}/{name}", "stored_twice"))
        else:
            image = _Image(name, span)
    if image is not None:
        yield image, labels


def _read_labels(
    file: BinaryIO, labels: dict[str, Span], numbered: Sequence[str]
) -> tuple[str, Split | None, str]:
    """Return the class, the split and the group of an image; empty or None where not told."""
    facts: dict[str, Any] = {}
    if "json" in labels:
        try:
            read = json.loads(_read_small(file, labels["json"]))
        except (ValueError, RecursionError):
            read = None
        facts = read if isinstance(read, dict) else {}
    label = next((facts[key] for key in LABEL_KEYS if key in facts), None)
    if label is None and "cls" in labels:
        label = _read_small(file, labels["cls"]).decode("utf-8", "replace").strip()
        label = int(label) if label.isascii() and label.isdecimal() and len(label) < 10 else label
    split = facts.get("split")
    known = SPLIT_FOLDERS.get(split.lower()) if isinstance(split, str) else None
    group = facts.get("group")
    return _class_name(label, numbered), known, group if isinstance(group, str) else ""


def _read_small(file: BinaryIO, span: Span) -> bytes:
    if span.size > MAX_LABEL_BYTES:
        return b""
    file.seek(span.offset)
    return file.read(span.size)


def _class_name(label: object, numbered: Sequence[str]) -> str:
    """Return the name of a class, given by name or number; empty for what is neither."""
    if isinstance(label, int) and not isinstance(label, bool):
        if numbered:
            return _checked_name(numbered[label]) if 0 <= label < len(numbered) else ""
        return str(label) if label >= 0 else ""
    return _checked_name(label)


def _checked_name(name: object) -> str:
    return name if isinstance(name, str) and is_plain_text(name) else ""


def _numbered_names(root: Path, shard: Path) -> list[str]:
    """Read the names of numbered classes from the text file beside the shard, if there is one."""
    for folder in dict.fromkeys((shard.parent, root)):
        for name in NAMES_FILES:
            try:
                with (folder / name).open("rb") as file:
                    content = file.read(MAX_NAMES_BYTES)
            except OSError:
                continue
            return content.decode("utf-8-sig", "replace").strip().splitlines()
    return []
