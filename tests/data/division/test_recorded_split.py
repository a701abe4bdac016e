from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgclf.data.batches.generators import make_generators
from imgclf.data.batches.image_data import ImageData, build_data
from imgclf.data.batches.plan import Plan
from imgclf.data.division.recorded_split import read_split
from imgclf.errors import DataError, DataNotFoundError

MakeFolder = Callable[..., Path]
MakeImage = Callable[..., Path]
SMALL: dict[str, Any] = {"image_size": (32, 32), "batch_size": 4, "val_split": 0.3}


def record(data: ImageData, path: Path) -> Path:
    """Write the division of some images as a run folder does."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "sha256", "class", "split"])
        for split, batches in (("train", data.train), ("val", data.val), ("test", data.test)):
            for sample in batches.samples if batches else ():
                name = data.train.class_names[sample.label]
                writer.writerow([sample.path, sample.sha256, name, split])
    return path


def build(root: Path, split_file: Path | None = None, seed: int = 0) -> ImageData:
    """Divide a folder, with or without a record."""
    train, _ = make_generators(root, **SMALL, seed=seed, split_file=split_file)
    plan: Plan = train.plan
    return build_data(plan)


def sides(data: ImageData) -> dict[str, str]:
    """Return the split of each path."""
    return dict.fromkeys(data.train.file_paths, "train") | dict.fromkeys(data.val.file_paths, "val")


def test_recorded_images_never_move(
    tmp_path: Path, make_folder: MakeFolder, make_image: MakeImage
) -> None:
    """Another seed and many new images, also in tiny classes: every recorded one stays."""
    root = make_folder(a=3, b=4, c=30)
    before = build(root)
    split_file = record(before, tmp_path / "split.csv")
    for number in range(20):
        make_image(root / "a" / f"new{number}.png")
        make_image(root / "b" / f"new{number}.png")
    after = build(root, split_file, seed=7)
    assert sides(after).items() >= sides(before).items()
    assert after.train.num_samples + after.val.num_samples == 77
    assert sides(build(root, seed=7)).items() != sides(after).items()


def test_moved_and_saved_again_images_keep_their_side(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    """A renamed file is known by its content, a changed one by its path."""
    root = make_folder(a=20, b=20)
    before = sides(build(root))
    split_file = record(build(root), tmp_path / "split.csv")
    renamed, changed = root / "a" / "0003.png", root / "b" / "0004.png"
    renamed.rename(root / "a" / "zzz.png")
    Image.open(changed).rotate(90, expand=True).save(changed)
    after = sides(build(root, split_file, seed=3))
    assert after[str(root / "a" / "zzz.png")] == before[str(renamed)]
    assert after[str(changed)] == before[str(changed)]


def test_a_new_copy_joins_its_original(tmp_path: Path, make_folder: MakeFolder) -> None:
    """New look-alikes of recorded images go to the side of those."""
    root = make_folder(a=20, b=20)
    before = build(root)
    split_file = record(before, tmp_path / "split.csv")
    for path in before.val.file_paths:
        flipped = Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        flipped.save(Path(path).with_suffix(".bmp"))
    after = sides(build(root, split_file, seed=9))
    for path in before.val.file_paths:
        assert after[str(Path(path).with_suffix(".bmp"))] == "val"


def test_an_image_that_belongs_on_two_sides_is_left_out(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    """A new copy of images that an old record has on both sides is in no split, and named."""
    root = make_folder(a=20, b=20)
    data = build(root)
    trained, held_out = Path(data.train.file_paths[0]), Path(data.val.file_paths[0])
    held_out.write_bytes(trained.read_bytes())
    split_file = record(data, tmp_path / "split.csv")
    lines = split_file.read_text().splitlines()
    old = next(sample.sha256 for sample in data.train.samples if sample.path == str(trained))
    lines = [line for line in lines if old not in line]
    split_file.write_text("\n".join([*lines, f"{trained},other,a,train", ""]))
    copy = root / "a" / "copy.png"
    copy.write_bytes(trained.read_bytes())
    after = build(root, split_file)
    assert str(copy) not in sides(after)
    assert any("copy.png" in warning for warning in after.warnings)


def test_names_that_are_no_text_survive(
    tmp_path: Path, make_folder: MakeFolder, make_image: MakeImage
) -> None:
    """A file name of any bytes is found again in the record."""
    root = make_folder(a=9, b=9)
    make_image(root / "a" / "x.png").rename(root / "a" / os.fsdecode(b"caf\xe9.png"))
    recorded = read_split(record(build(root), tmp_path / "split.csv"))
    assert str(root / "a" / os.fsdecode(b"caf\xe9.png")) in recorded.by_path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\nx,y\n", "its columns must be path, sha256, class, split"),
        ("", "its columns must be"),
        ("path,sha256,class,split\nx,1,a,tset\n", "line 2: split 'tset' is not accepted"),
        ("path,sha256,class,split\nx,1,a,val\ny,1,a,train\n", "line 3: .*already in val"),
    ],
)
def test_a_file_that_is_no_division_is_explained(
    tmp_path: Path, content: str, message: str
) -> None:
    """Wrong columns, wrong words and contradictions are named by line."""
    path = tmp_path / "split.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_split(path)


def test_a_missing_division_is_named(tmp_path: Path) -> None:
    """A wrong path is one sentence."""
    with pytest.raises(DataNotFoundError, match=r"split\.csv does not exist"):
        read_split(tmp_path / "split.csv")


def test_a_damaged_division_is_named_by_line(tmp_path: Path) -> None:
    """An entry without end, or a line that breaks off, is one sentence with the line."""
    path = tmp_path / "split.csv"
    path.write_text(f"path,sha256,class,split\na.png,1,a,train\n{'x' * 200_000},2,a,train\n")
    with pytest.raises(DataError, match=r"split\.csv, line 3: this is no CSV file"):
        read_split(path)
    path.write_text("path,sha256,class,split\na.png,1\n")
    with pytest.raises(DataError, match="line 2: split '' is not accepted"):
        read_split(path)
