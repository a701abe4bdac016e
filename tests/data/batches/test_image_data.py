"""The promises of building a plan: the same batches again, and every loss is explained."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import imgclf
from imgclf.data.batches.augmentation import PRESETS
from imgclf.data.batches.image_data import build_data
from imgclf.data.batches.plan import Plan
from imgclf.data.pixels.decoder import REASONS
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import read_folders
from imgclf.errors import DataError

MakeFolder = Callable[..., Path]
MakeImage = Callable[..., Path]
PILLOW_IMAGES = os.environ.get("IMGCLF_PILLOW_IMAGES", "")


@pytest.fixture
def held_out(tmp_path: Path, make_image: MakeImage) -> Path:
    """Return a folder of two new images of a and of b."""
    for name in ("a/1", "a/2", "b/1", "b/2"):
        make_image(tmp_path / "held-out" / f"{name}.png", seed=("held-out", name))
    return tmp_path / "held-out"


def plan_of(root: Path, val_dir: Path | None = None, **choices: Any) -> Plan:
    """Plan small batches of a folder."""
    policy, augmentation = InputPolicy((16, 16)), PRESETS["none"]
    own = None if val_dir is None else str(val_dir)
    return Plan(str(root), own, None, policy, 4, augmentation, store="memory", **choices)


def test_folders_that_were_read_are_not_read_again(
    make_folder: MakeFolder, make_image: MakeImage, held_out: Path
) -> None:
    """The batches hold the files of the listing that is given, not those added since."""
    root = make_folder(a=6, b=6)
    plan = plan_of(root, held_out)
    folders = read_folders(root, held_out)
    for folder in (root, held_out):
        make_image(folder / "a" / "later.png", seed=str(folder))
    given, fresh = build_data(plan, folders=folders), build_data(plan)
    assert (given.train.num_samples, given.val.num_samples) == (12, 4)
    assert (fresh.train.num_samples, fresh.val.num_samples) == (13, 5)


def test_one_plan_gives_the_same_batches_again(make_folder: MakeFolder) -> None:
    """Splits, order and hashes are those of the first time."""
    plan = plan_of(make_folder(a=12, b=12), val_split=0.25, test_split=0.25)
    first, second = build_data(plan), build_data(plan)
    for split in ("train", "val", "test"):
        ours, theirs = getattr(first, split), getattr(second, split)
        assert ours.samples == theirs.samples
        assert (ours.source.order(3) == theirs.source.order(3)).all()


def test_a_class_without_training_images_is_named(make_folder: MakeFolder, held_out: Path) -> None:
    """A class whose files are all broken cannot be learned: the error says which one."""
    root = make_folder(a=3, b=3)
    for path in (root / "b").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no usable training image of 'b'"):
        build_data(plan_of(root, held_out))


def test_validation_images_that_are_all_known_are_refused(make_folder: MakeFolder) -> None:
    """A copy of the training folder measures nothing."""
    root = make_folder(a=3, b=3)
    copy = Path(shutil.copytree(root, root.with_name("copy")))
    with pytest.raises(DataError, match="Every val image is also a training image"):
        build_data(plan_of(root, copy))


def test_few_held_out_images_are_a_warning(make_folder: MakeFolder, held_out: Path) -> None:
    """Who measures on a handful of images reads how many would do."""
    data = build_data(plan_of(make_folder(a=4, b=4), held_out))
    (warning,) = data.warnings
    assert warning.startswith("Only 4 images to measure with, 2 of them of 'a':")
    assert "140 would do" in warning


@pytest.mark.slow
@pytest.mark.skipif(
    not PILLOW_IMAGES, reason="IMGCLF_PILLOW_IMAGES: Tests/images of Pillow's sources"
)
def test_an_epoch_over_pillows_test_images(tmp_path: Path) -> None:
    """A thousand odd files, some hostile: each is used or named, and a training over them ends."""
    files = sorted(path for path in Path(PILLOW_IMAGES).rglob("*") if path.is_file())
    for number, path in enumerate(files):
        place = tmp_path / "ab"[number % 2]
        place.mkdir(exist_ok=True)
        (place / f"{number:04}-{path.name}").symlink_to(path.resolve())
    plan = Plan(str(tmp_path), None, None, InputPolicy((32, 32)), 32, PRESETS["strong"])
    data = build_data(plan)
    used = data.train.num_samples + data.val.num_samples
    assert used > 500
    assert {item.reason for item in data.quarantined} <= REASONS.keys()
    assert used + len(data.quarantined) + len(data.left_out) == len(files), data.warnings
    model = imgclf.build_model("three_conv", data.train.input_shape, filters=8, hidden_units=8)
    history = imgclf.fit(model, data.train, data.val, epochs=1)
    assert history.history["loss"][0] > 0
