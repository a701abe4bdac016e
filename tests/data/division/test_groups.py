"""The promises of groups: images that belong together are never on two sides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgclf.data.batches.generators import make_generators
from imgclf.data.division.groups import drop_leaks, group_samples
from imgclf.data.division.samples import Sample, collect_samples
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import read_folder
from imgclf.data.store.pixel_store import PixelStore, open_store
from imgclf.errors import ArgumentError

MakeFolder = Callable[..., Path]
SMALL: dict[str, Any] = {"image_size": (32, 32), "batch_size": 4}


def open_folder(root: Path) -> PixelStore:
    """Scan a folder at 32 x 32."""
    return open_store(read_folder(root), InputPolicy((32, 32)), mode="memory")


def sample(row: int, sha256: str, path: str = "", label: int = 0) -> Sample:
    """Make a sample of nothing but what grouping looks at."""
    return Sample(row, path or f"/data/{row}.png", label, sha256, None)


def test_the_same_file_is_one_group() -> None:
    """Copies share a hash, which is their group as long as no other name is."""
    grouped = group_samples([sample(0, "x"), sample(1, "y"), sample(2, "x")])
    assert [item.group or item.sha256 for item in grouped] == ["x", "y", "x"]


def test_paths_name_groups() -> None:
    """All images of one patient are one group; images without a match stay alone."""
    paths = ["/d/p1/a.png", "/d/p2/b.png", "/d/p1/c.png", "/d/other/d.png"]
    samples = [sample(row, f"hash{row}", path) for row, path in enumerate(paths)]
    groups = [item.group for item in group_samples(samples, group_by=r"/(p\d)/")]
    assert groups[0] == groups[2] != groups[1]
    assert groups[3] == ""


def test_groups_are_joined_by_a_third_image() -> None:
    """A copy in two patients' folders joins the two, so that neither leaks."""
    paths = ["/p1/a.png", "/p1/b.png", "/p2/a.png", "/p2/c.png"]
    hashes = ["same", "b", "same", "c"]
    samples = [sample(row, *pair) for row, pair in enumerate(zip(hashes, paths, strict=True))]
    assert len({item.group for item in group_samples(samples, group_by=r"p\d")}) == 1


def test_a_named_group_keeps_its_side_when_it_grows() -> None:
    """A patient's side hangs on the patient, not on which images there are."""
    samples = [sample(row, f"z{row}", "/p1/x.png") for row in range(3)]
    (before,) = {item.group for item in group_samples(samples, group_by=r"p\d")}
    more = [*samples, sample(3, "a0", "/p1/y.png")]
    assert {item.group for item in group_samples(more, group_by=r"p\d")} == {before}


@pytest.mark.parametrize(
    ("expression", "message"), [("(", "no regular expression"), ("patient", "matches no path")]
)
def test_a_wrong_expression_is_explained(expression: str, message: str) -> None:
    """An expression that cannot be read or never matches is an error, not no groups."""
    with pytest.raises(ArgumentError, match=message):
        group_samples([sample(0, "x")], group_by=expression)


def test_look_alikes_stay_on_one_side(make_folder: MakeFolder) -> None:
    """Copies saved as JPEG are with their originals, on whichever side those are."""
    root = make_folder(a=40, b=40)
    for path in sorted(root.rglob("*.png")):
        Image.open(path).save(path.with_suffix(".jpg"), quality=85)
    train, val = make_generators(root, **SMALL, val_split=0.3)
    held_out = {Path(path).with_suffix("") for path in val.file_paths}
    assert not held_out & {Path(path).with_suffix("") for path in train.file_paths}
    assert val.num_samples > 20
    loose, _ = make_generators(root, **SMALL, val_split=0.3, near_duplicates=False)
    assert len({Path(path).with_suffix("") for path in loose.file_paths}) > train.num_samples / 2


def test_groups_by_path_stay_on_one_side(make_folder: MakeFolder) -> None:
    """--group-by keeps each patient's images together."""
    patients = {f"{label}__p{number}": 3 for label in "ab" for number in range(20)}
    train, val = make_generators(make_folder(**patients), **SMALL, val_split=0.3, group_by=r"p\d+")
    sides = [{Path(path).parent for path in batches.file_paths} for batches in (train, val)]
    assert not sides[0] & sides[1]
    assert len(sides[1]) >= 4


def test_copies_are_dropped_from_held_out_folders(
    make_folder: MakeFolder, make_image: Callable[..., Path]
) -> None:
    """The same file, saved again, or mirrored: each is dropped; the others stay."""
    train = make_folder("t", a=5, b=5)
    held_out = make_folder("h", a=1, b=1)
    original = Image.open(train / "a" / "0003.png")
    original.save(held_out / "a" / "again.jpg", quality=95, subsampling=0)
    original.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(held_out / "a" / "mirrored.png")
    make_image(held_out / "b" / "fresh.png", seed="fresh")
    stores = open_folder(train), open_folder(held_out)
    (known, _), (tested, _) = (collect_samples(store, store.folder.files) for store in stores)
    signatures = stores[1].signatures, stores[0].signatures
    fresh, dropped = drop_leaks(tested, known, *signatures)
    assert [Path(item.path).name for item in fresh] == ["fresh.png"]
    assert dropped == 4
    assert drop_leaks(tested, known)[1] == 2


def test_leaks_need_no_images() -> None:
    """Nothing held out and nothing known is no special case."""
    empty = np.zeros((0, 768), np.uint8)
    assert drop_leaks([], [], empty, empty) == ([], 0)
