"""The check of an image folder before training: its content and its problems."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from imgclf.arguments import checked_path, checked_sides
from imgclf.clusters.connection import connect
from imgclf.data.checks.card import report_card
from imgclf.data.checks.findings import Finding, Inspected, Picture, find_all
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.image_folder import ImageFolder, Kind
from imgclf.data.reading.layout import read_folder
from imgclf.data.store.pixel_store import PixelStore, StoreMode, open_store
from imgclf.errors import DataError, DataNotFoundError

__all__ = ["ClassCount", "DataReport", "check"]

MOST_SIZES = 10


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How many usable images a class has.

    Attributes:
        name: The class.
        train: Images in ``train/``, or in the class folder where there are no split folders.
        val: Images in ``val/``.
        test: Images in ``test/``.
    """

    name: str
    train: int
    val: int = 0
    test: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class DataReport:
    """The content of an image folder, and its problems.

    Attributes:
        directory: The folder.
        layout: ``"classes"`` for class folders, ``"splits"`` for ``train/`` and others above them,
            ``"unknown"`` where no images lie in folders.
        kind: Where the images lie: ``"folder"``, ``"zip"`` or ``"tar"`` for one archive,
            ``"shards"`` or ``"parquet"``.
        classes: The usable images of each class.
        num_files: Files that look like images.
        num_usable: Images that can be decoded.
        formats: Usable images by format, the most frequent first.
        modes: Usable images by pixel format, under Pillow's names.
        sizes: Usable images by ``"height x width"`` in pixels, the ten most frequent.
        findings: Problems and remarks, errors first.

    Example:
        >>> report = imgclf.check("photos/")                         # doctest: +SKIP
        >>> report.trainable, report.num_usable, report.formats      # doctest: +SKIP
    """

    directory: str
    layout: Literal["classes", "splits", "unknown"]
    kind: Kind
    classes: tuple[ClassCount, ...]
    num_files: int
    num_usable: int
    formats: dict[str, int]
    modes: dict[str, int]
    sizes: dict[str, int]
    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        """Say what the folder holds, and how many findings there are."""
        return (
            f"<DataReport of {self.directory}: {self._summary()}; {len(self.findings)} finding(s)>"
        )

    def _repr_html_(self) -> str:
        splits = ("train", "val", "test") if self.layout == "splits" else ("train",)
        heading = ("class", *(splits if len(splits) > 1 else ("images",)))
        rows = [
            (item.name, *(f"{getattr(item, split):,}" for split in splits)) for item in self.classes
        ]
        return report_card(self._summary(), self.directory, heading, rows, self.findings)

    def _summary(self) -> str:
        ready = "can be trained on" if self.trainable else "cannot be trained on yet"
        return (
            f"{self.num_usable:,} usable images of {self.num_files:,} in {len(self.classes)} "
            f"classes: {ready}"
        )

    @property
    def trainable(self) -> bool:
        """Whether the folder can be trained on."""
        return all(finding.severity != "error" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"trainable": self.trainable, **asdict(self)}


def check(
    directory: str | os.PathLike[str],
    *,
    image_size: int | tuple[int, int] = (96, 96),
    near_duplicates: bool = True,
    store: StoreMode = "auto",
    progress: Callable[[int, int], None] | None = None,
    cluster: str | None = None,
    allow_unauthenticated: bool = False,
) -> DataReport:
    """Check a folder of images before training; nothing in it is changed.

    Every file is decoded once. Where pixels are kept, a training at the same `image_size` does not
    decode them again.

    Args:
        directory: The folder, or a ZIP, tar, CSV or Parquet file or shards in its place.
        image_size: ``(height, width)`` in pixels that the images are decoded to; one number is a
            square.
        near_duplicates: Whether to look for copies that were saved again, resized or mirrored.
        store: Where decoded pixels are kept; see `imgclf.make_generators`.
        progress: Called while scanning with the number of files done and in all.
        cluster: Decode the images on the nodes of a Ray cluster that see them under the same path:
            ``"HOST:PORT"``, ``"auto"`` or ``"local"``. Needs the extra ``ray``.
        allow_unauthenticated: Whether a cluster without a token is accepted.

    Returns:
        The report. A folder that cannot be trained on is a report with an error in it.

    Raises:
        DataNotFoundError: The folder does not exist.
        DataError: It is a file, or cannot be read.
        ArgumentError: An argument is not accepted.
        ClusterError: The cluster cannot be reached, or does not answer.

    Example:
        >>> report = imgclf.check("photos/")                     # doctest: +SKIP
        >>> [finding.what for finding in report.findings]        # doctest: +SKIP
    """
    sides = checked_sides(image_size)
    checked_path("directory", directory)
    folder, problem = _read(directory)
    if not folder.files:
        return _report(Inspected(folder, problem))
    with (
        nullcontext()
        if cluster is None
        else connect(cluster, allow_unauthenticated=allow_unauthenticated)
    ) as connected:
        opened = open_store(
            folder, InputPolicy(sides), mode=store, progress=progress, cluster=connected
        )
    return _report(_inspect(opened, problem, near_duplicates=near_duplicates))


def _read(directory: str | os.PathLike[str]) -> tuple[ImageFolder, str]:
    """Read a folder, and why it cannot be trained on, if it cannot."""
    try:
        return read_folder(directory), ""
    except DataNotFoundError:
        raise
    except DataError as error:
        return read_folder(directory, min_classes=0), str(error)


def _inspect(store: PixelStore, problem: str, *, near_duplicates: bool) -> Inspected:
    pictures, rows, unusable = [], [], []
    for row, (file, result) in enumerate(zip(store.folder.files, store.scanned, strict=True)):
        if result.facts is None:
            unusable.append((file.path, result.reason))
        else:
            rows.append(row)
            pictures.append(Picture(file.path, file.label, file.split, result.sha256, result.facts))
    return Inspected(
        folder=store.folder,
        problem=problem,
        pictures=pictures,
        signatures=store.signatures[np.array(rows, np.int64)],
        unusable=unusable,
        near_duplicates=near_duplicates,
    )


def _report(inspected: Inspected) -> DataReport:
    folder, pictures = inspected.folder, inspected.pictures
    counts = Counter((picture.label, picture.split or "train") for picture in pictures)
    sizes = Counter(f"{picture.facts.height} x {picture.facts.width}" for picture in pictures)
    return DataReport(
        directory=str(folder.root),
        layout=folder.layout if folder.files else "unknown",
        kind=folder.kind,
        classes=tuple(
            ClassCount(name, counts[label, "train"], counts[label, "val"], counts[label, "test"])
            for label, name in enumerate(folder.class_names)
        ),
        num_files=len(folder.files),
        num_usable=len(pictures),
        formats=dict(Counter(picture.facts.format for picture in pictures).most_common()),
        modes=dict(Counter(picture.facts.mode for picture in pictures).most_common()),
        sizes=dict(sizes.most_common(MOST_SIZES)),
        findings=find_all(inspected),
    )
