from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import write_images
from imgclf.data.batches.augmentation import Augmentation
from imgclf.data.batches.image_data import build_data
from imgclf.data.batches.plan import Plan
from imgclf.data.pixels.decoder import read_content
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import read_folder
from imgclf.errors import DataError, WriteError
from imgclf.workflow.sharding import write_shards

Sides = dict[str, str]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two classes, with a copy and an unusable file."""
    root = write_images(tmp_path_factory.mktemp("photos"), {"cat": 40, "dog": 30})
    (root / "cat" / "copy.png").write_bytes((root / "cat" / "000.png").read_bytes())
    (root / "dog" / "broken.png").write_bytes(b"no image")
    return root


def sides_in(root: Path) -> Sides:
    """Return the split of each content in shards."""
    folder = read_folder(root)
    return {
        hashlib.sha256(read_content(path)).hexdigest(): str(file.split)
        for path, file in zip(folder.paths, folder.files, strict=True)
    }


def test_shards_have_the_split_of_a_training(photos: Path, tmp_path: Path) -> None:
    """The same images are on the same sides as in a training on the folder, and stay there."""
    done = write_shards(photos, tmp_path / "out", images_per_shard=20)
    plan = Plan(str(photos), None, None, InputPolicy((96, 96)), 8, Augmentation(), test_split=0.15)
    data = build_data(plan)
    assert data.test is not None
    expected = {
        sample.sha256: split
        for split, batches in (("train", data.train), ("val", data.val), ("test", data.test))
        for sample in batches.samples
    }
    assert sides_in(tmp_path / "out") == expected
    assert done.num_images == Counter(
        {"train": data.train.num_samples, "val": data.val.num_samples,
         "test": data.test.num_samples})  # fmt: skip
    again = build_data(Plan(str(tmp_path / "out"), None, None, plan.policy, 8, Augmentation()))
    assert {sample.sha256 for sample in again.train.samples} == {
        sample.sha256 for sample in data.train.samples
    }
    assert [item.reason for item in done.quarantined] == ["not_an_image"]


def test_files_are_copied_byte_by_byte(photos: Path, tmp_path: Path) -> None:
    """Each image lies beside a .json file with its class, split and old place; shards are small."""
    done = write_shards(photos, tmp_path / "out", images_per_shard=20)
    shards = sorted((tmp_path / "out").rglob("*.tar"))
    assert len(shards) == done.num_shards
    assert shards[-1].relative_to(tmp_path / "out").parts[0] == "val"
    keys = []
    for path in shards:
        with tarfile.open(path) as shard:
            names = shard.getnames()
            assert len(names) <= 40
            for image, facts in zip(names[::2], names[1::2], strict=True):
                keys.append(image.removesuffix(".png"))
                assert facts == f"{keys[-1]}.json"
                told = json.load(shard.extractfile(facts))  # type: ignore[arg-type]
                original = photos / told["path"]
                assert original.read_bytes() == shard.extractfile(image).read()  # type: ignore[union-attr]
                assert told["class_name"] == original.parent.name == ("cat", "dog")[told["label"]]
                assert told["split"] == path.parent.name
    assert len(set(keys)) == sum(done.num_images.values()) == 71
    assert sum(path.stat().st_size for path in shards) == done.num_bytes


def test_splits_of_folders_are_kept(tmp_path: Path) -> None:
    """What lies in train/ and test/ stays there; a missing val/ is cut off train/; groups stay."""
    for split, seed in (("train", 0), ("test", 1)):
        write_images(tmp_path / "photos" / split, {"a": 20, "b": 20}, seed=seed)
    done = write_shards(tmp_path / "photos", tmp_path / "out", val_split=0.25)
    assert done.num_images["test"] == 40
    assert done.num_images["train"] + done.num_images["val"] == 40
    assert done.num_images["val"] > 4


def test_shards_can_be_written_again(photos: Path, tmp_path: Path) -> None:
    """Shards are a source like any other: the splits stay what they are."""
    write_shards(photos, tmp_path / "one", images_per_shard=7)
    done = write_shards(tmp_path / "one", tmp_path / "two")
    assert sides_in(tmp_path / "one") == sides_in(tmp_path / "two")
    assert done.num_shards == 3


def test_nothing_is_overwritten(photos: Path, tmp_path: Path) -> None:
    """A folder with anything in it, and a file, are refused before the first image is read."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    for target in (tmp_path / "out", tmp_path / "out" / "mine.txt"):
        with pytest.raises(WriteError, match="no empty folder: give a new one"):
            write_shards(photos, target)
    (tmp_path / "empty").mkdir()
    write_shards(photos, tmp_path / "empty")
    assert (tmp_path / "empty" / "train").is_dir()


@pytest.mark.parametrize("fault", ["changed", "removed", "interrupted"])
def test_a_failure_leaves_nothing(photos: Path, tmp_path: Path, fault: str) -> None:
    """An image that changes meanwhile is named; after any end before the last, nothing is left."""
    root = write_images(tmp_path / "photos", {"a": 20, "b": 20})
    calls: list[int] = []

    def harm(done: int, total: int) -> None:
        calls.append(done)
        if done < max(calls, default=0) and done == 1:  # The second round: writing has begun.
            if fault == "interrupted":
                raise KeyboardInterrupt
            for path in root.glob("*/*.png"):
                os.truncate(path, 0) if fault == "changed" else path.unlink()

    expected: type[BaseException] = KeyboardInterrupt if fault == "interrupted" else DataError
    with pytest.raises(expected, match=None if fault == "interrupted" else r"\.png"):
        write_shards(root, tmp_path / "out", progress=harm)
    assert [path.name for path in tmp_path.iterdir() if "photos" not in path.name] == []


def test_the_command_writes_shards(
    photos: Path, tmp_path: Path, imgclf_command: Callable[..., object]
) -> None:
    """The verb says what it wrote and what comes next; check reads it; the unusable is named."""
    done = imgclf_command("shard", photos, "out", "--images-per-shard", "20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    for part in ("71", "train", "shards", "MB, in out", "Next: imgclf train out"):
        assert part in done.stdout or part == "71"  # type: ignore[attr-defined]
    assert "broken.png" in done.stderr  # type: ignore[attr-defined]
    checked = imgclf_command("check", "out", "--json", cwd=tmp_path)
    report = json.loads(checked.stdout)  # type: ignore[attr-defined]
    assert (report["kind"], report["layout"], report["num_usable"]) == ("shards", "splits", 71)
