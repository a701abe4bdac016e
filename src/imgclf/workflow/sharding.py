"""Writing a folder of images as tar shards, divided once and for all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from imgclf.arguments import checked_path, require_number, whole_number
from imgclf.atomic import PARTIAL, make_folder, move_atomically
from imgclf.data.division.groups import group_samples
from imgclf.data.division.samples import Quarantined, Sample, collect_samples
from imgclf.data.division.splits import divide_samples
from imgclf.data.pixels.decoder import read_content
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import read_folder
from imgclf.data.reading.walk import is_image_name
from imgclf.data.store.pixel_store import PixelStore, open_store
from imgclf.errors import DataError, ImageError, WriteError
from imgclf.runs.resolution import MOST_VAL_IMAGES, TEST_SHARE, VAL_SHARE

if TYPE_CHECKING:
    from imgclf.data.reading.image_folder import Split
    from imgclf.data.reading.left_out import LeftOut

__all__ = ["WrittenShards", "write_shards"]

MOST_IMAGES = 10_000
MOST_BYTES = 1024**3
"""Of one shard; readers of shards take them in parallel, and list each one whole."""

COMPARED_SIZE = (96, 96)
"""Copies are looked for at this size."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class WrittenShards:
    """What was written as shards, and what was left out.

    Attributes:
        path: The folder.
        num_images: Images of each split: train, val and test.
        num_shards: Tar files.
        num_bytes: Their size together.
        quarantined: Files that look like images but cannot be used.
        left_out: Other files and folders that were not used.

    Example:
        >>> done = imgclf.write_shards("photos/", "archives/")       # doctest: +SKIP
        >>> done.num_images["train"], done.num_shards                # doctest: +SKIP
    """

    path: Path
    num_images: Mapping[Split, int]
    num_shards: int
    num_bytes: int
    quarantined: tuple[Quarantined, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def write_shards(
    directory: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    val_split: float | None = None,
    seed: int = 0,
    group_by: str | None = None,
    near_duplicates: bool = True,
    images_per_shard: int = MOST_IMAGES,
    progress: Progress | None = None,
) -> WrittenShards:
    """Write a folder of images as tar shards in the layout of WebDataset.

    Use it for large collections: a few hundred files are copied and moved faster than a million,
    and network disks read them faster. The images are divided as `imgclf.train` would divide them,
    and each one's split is recorded inside, so that every later training has the same test images.
    Files are copied byte by byte. Beside ``00000012.jpg`` lies ``00000012.json`` with
    ``class_name``, ``label`` (the number of the class), ``split``, ``path`` (where it was) and, if
    it has one, ``group``. Within a split, the images are in a random order.

    Args:
        directory: The folder, or a file or shards in its place, as for `imgclf.train`.
        target: A folder that does not exist yet, or is empty.
        val_split: Share of the images that is cut off for validation; None takes what
            `imgclf.train` takes.
        seed: Decides the split and the order.
        group_by: A regular expression over paths: images with the same match stay in one split.
        near_duplicates: Whether images that look the same stay in one split, too.
        images_per_shard: Images of one tar file, at the most; one of more than 1 GiB ends earlier.
        progress: Called with the number of images done and in all; first while they are decoded,
            then while they are written.

    Returns:
        What was written. Unusable images are left out and listed.

    Raises:
        DataNotFoundError: The folder does not exist.
        DataError: It cannot be used, or an image changes meanwhile.
        WriteError: The target is not empty, or cannot be written; then nothing is left of it.
        ArgumentError: An argument is out of range.

    Example:
        >>> done = imgclf.write_shards("photos/", "shards/")         # doctest: +SKIP
        >>> imgclf.train(done.path)                                  # doctest: +SKIP
    """
    images_per_shard = whole_number("images_per_shard", images_per_shard)
    if val_split is not None:
        require_number("val_split", val_split, 0, 1, accepted="a share from 0 to 1 (exclusive)")
    place = Path(os.path.abspath(checked_path("target", target)))  # noqa: PTH100 - no links
    _require_empty(place)
    folder = read_folder(directory)
    store = open_store(folder, InputPolicy(COMPARED_SIZE), mode="off", progress=progress)
    samples, quarantined = collect_samples(store, folder.files)
    divided = _divide(store, samples, val_split, seed, group_by, near_duplicates=near_duplicates)
    partial = place.with_name(f".{place.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        writer = _Writer(store, seed, images_per_shard, progress, len(samples))
        for split in divided:
            writer.write(split, divided[split], partial / split)
        assert writer.num_images == sum(map(len, divided.values()))
        make_folder(place.parent)
        move_atomically(partial, place)
    except OSError as error:
        raise WriteError(
            f"{place} cannot be written ({error.strerror or error}): free some space, or give "
            "another place."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return WrittenShards(
        path=place,
        num_images={split: len(divided[split]) for split in divided},
        num_shards=writer.num_shards,
        num_bytes=writer.num_bytes,
        quarantined=tuple(quarantined),
        left_out=folder.left_out,
    )


def _require_empty(place: Path) -> None:
    try:
        is_empty = not place.is_symlink() and (not place.exists() or not any(place.iterdir()))
    except OSError:  # Such as a file.
        is_empty = False
    if not is_empty:
        raise WriteError(f"{place} exists and is no empty folder: give a new one.")


def _divide(
    store: PixelStore,
    samples: Sequence[Sample],
    val_split: float | None,
    seed: int,
    group_by: str | None,
    *,
    near_duplicates: bool,
) -> dict[Split, Sequence[Sample]]:
    """Divide images as a training would; what lies in split folders stays there."""
    provided = store.folder.splits
    shares: dict[Split, float] = {} if provided else {"test": TEST_SHARE}
    usual = min(VAL_SHARE, MOST_VAL_IMAGES / len(store.folder.files))
    shares["val"] = usual if val_split is None else val_split
    if not provided or "val" not in provided:
        signatures = store.signatures if near_duplicates else None
        samples = group_samples(samples, signatures, group_by)
    divided = divide_samples(samples, store.folder.class_names, shares, seed)
    return {split: images for split, images in divided.items() if len(images)}


@dataclass(slots=True)
class _Writer:
    """Writes the shards of all splits, with running numbers through all of them."""

    store: PixelStore
    seed: int
    images_per_shard: int
    progress: Progress | None
    total: int
    num_images: int = 0
    num_shards: int = 0
    num_bytes: int = 0

    def write(self, split: Split, samples: Sequence[Sample], folder: Path) -> None:
        """Write the shards of one split."""
        folder.mkdir(parents=True)
        images = self._in_order(samples)
        for number, first in enumerate(iter(lambda: next(images, None), None)):
            path = folder / f"{number:06}.tar"
            with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as shard:
                self._fill(shard, split, first, images)
            self.num_shards += 1
            self.num_bytes += path.stat().st_size

    def _in_order(self, samples: Sequence[Sample]) -> Iterator[Sample]:
        """Yield images in a random order; those of Parquet files, slow to jump in, as they lie."""
        if self.store.folder.kind == "parquet":
            return iter(samples)
        salt = str(self.seed).encode()
        keys = [
            hashlib.blake2b(f"{sample.row}".encode(), key=salt[:64], digest_size=8).digest()
            for sample in samples
        ]
        return (samples[place] for place in sorted(range(len(keys)), key=keys.__getitem__))

    def _fill(
        self, shard: tarfile.TarFile, split: Split, first: Sample, images: Iterator[Sample]
    ) -> None:
        """Write one shard: the first image, and others until it is full."""
        written_bytes = 0
        for count, sample in enumerate(chain([first], images), start=1):
            content = self._content(sample)
            key = f"{self.num_images:08}"
            for ending, member in (
                (self._ending(sample), content),
                (".json", self._facts(sample, split)),
            ):
                info = tarfile.TarInfo(f"{key}{ending}")
                info.size = len(member)
                shard.addfile(info, io.BytesIO(member))
                shard.members.clear()  # type: ignore[attr-defined]  # or it remembers all of them
            self.num_images += 1
            written_bytes += len(content)
            if self.progress is not None:
                self.progress(self.num_images, self.total)
            if count == self.images_per_shard or written_bytes >= MOST_BYTES:
                return

    def _content(self, sample: Sample) -> bytes:
        """Read an image that is still what it was when it was divided."""
        try:
            content = read_content(sample.path, span=self.store.folder.files.span(sample.row))
        except ImageError as error:
            raise DataError(f"{error} It was readable a moment ago.") from error
        if hashlib.sha256(content).hexdigest() != sample.sha256:
            raise DataError(f"{sample.path!r} has changed since the scan: leave the images alone.")
        return content

    def _ending(self, sample: Sample) -> str:
        """Return the ending of an image's name; of one without, that of its format."""
        if is_image_name(sample.name):
            return os.path.splitext(sample.name)[1].lower()  # noqa: PTH122
        facts = self.store.scanned[sample.row].facts
        assert facts is not None, "it was accepted"
        return f".{facts.format.lower()}"

    def _facts(self, sample: Sample, split: Split) -> bytes:
        facts = {
            "class_name": self.store.folder.class_names[sample.label],
            "label": sample.label,
            "split": split,
            "path": sample.name,
        }
        group = self.store.folder.files[sample.row].group
        return json.dumps(facts | ({"group": group} if group else {})).encode()
