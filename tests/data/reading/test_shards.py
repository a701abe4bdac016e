from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgclf.data.checks.data_report import check
from imgclf.data.pixels.decoder import decode
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.image_folder import ImageFolder
from imgclf.data.reading.layout import find_images, is_collection, read_folder
from imgclf.data.store.pixel_store import open_store
from imgclf.errors import DataError, DataNotFoundError, ImageError
from tar_shards import png, sample, write_shards, write_tar

POLICY = InputPolicy((8, 8))


def labels(folder: ImageFolder) -> dict[str, str]:
    """Return the class of each image."""
    return {file.path: folder.class_names[file.label] for file in folder.files}


def reasons(folder: ImageFolder) -> Counter[str]:
    """Count why things are left out."""
    return Counter(item.reason for item in folder.left_out)


# --- Labels ----------------------------------------------------------------------------------


def test_labels_lie_beside_the_images(tmp_path: Path) -> None:
    """A class is a .cls file's text, or what a .json file has under one of four names."""
    members = {
        "0.png": png(),
        "0.cls": b"cat\n",
        **sample("1", 1, label="dog"),
        **sample("2", 2, class_name="cat", label=7),
        **sample("3", 3, cls=4),
        "4.cls": b"5",
        "4.PNG": png(4),
    }
    folder = read_folder(write_tar(tmp_path / "x.tar", members))
    assert folder.kind == "shards"
    assert list(labels(folder).values()) == ["cat", "dog", "cat", "4", "5"]


def test_numbers_get_their_names(tmp_path: Path) -> None:
    """A text file beside the shards names numbered classes; a number beyond it is no label."""
    members = {"0.png": png(), "0.cls": b"1", "1.png": png(1), "1.cls": b"0", "2.png": png(2),
               "2.cls": b"9", **sample("3", 3, label=0)}  # fmt: skip
    path = write_tar(tmp_path / "x.tar", members)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    folder = read_folder(path)
    assert list(labels(folder).values()) == ["dog", "cat", "cat"]
    assert reasons(folder) == {"no_label": 1}


@given(st.binary(max_size=60) | st.just(b"[" * 5000))
def test_no_label_is_hostile(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever a label's file holds, its image has a class of plain text, or none."""
    path = tmp_path_factory.getbasetemp() / "labels.tar"
    write_tar(path, {"0.png": png(), "0.json": content, "1.png": png(1), "1.cls": content})
    folder = read_folder(path, min_classes=0)
    assert len(folder.files) + reasons(folder)["no_label"] == 2


def test_an_endless_label_is_none(tmp_path: Path) -> None:
    """A label of more than 64 KiB is not read."""
    members = {**sample("0", 0, label="a"), **sample("1", 1, label="b", more="x" * 70_000)}
    folder = read_folder(write_tar(tmp_path / "x.tar", members), min_classes=0)
    assert (labels(folder), reasons(folder)) == ({"x.tar/0.png": "a"}, {"no_label": 1})


def test_an_image_without_a_label_is_named(tmp_path: Path) -> None:
    """It is left out, with its reason; where no image has one, the error says what is missing."""
    members = {**sample("0", 0, label="a"), **sample("1", 1, label="b"), "2.png": png(2)}
    folder = read_folder(write_tar(tmp_path / "x.tar", members))
    assert [item.path for item in folder.left_out] == ["x.tar/2.png"]
    (tmp_path / "bare").mkdir()
    for number in range(2):
        write_tar(tmp_path / "bare" / f"{number}.tar", {"0.png": png(number)})
    with pytest.raises(DataError, match=r"put a \.cls or \.json file with its class"):
        read_folder(tmp_path / "bare")


# --- Where shards lie ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_path", "expected"),
    [
        ("", ["00", "01", "02"]),
        ("{00..02}.tar", ["00", "01", "02"]),
        ("{00,02}.tar", ["00", "02"]),
        ("0[12].tar", ["01", "02"]),
        ("*.tar", ["00", "01", "02"]),
        ("01.tar", ["01"]),
    ],
)
def test_shards_are_given_in_four_ways(
    tmp_path: Path, given_path: str, expected: list[str]
) -> None:
    """As a folder, with braces, with a glob, or one alone; they are read in their order."""
    write_shards(tmp_path, ["00.tar", "01.tar", "02.tar"])
    folder = read_folder(tmp_path / given_path)
    assert [file.path for file in folder.files] == [
        f"{shard}.tar/{number}.png" for shard in expected for number in range(2)
    ]
    assert is_collection(tmp_path / given_path)
    found = find_images(tmp_path / given_path)
    assert [Path(path) for path in found] == [Path(path) for path in folder.paths]


def test_a_missing_shard_is_an_error(tmp_path: Path) -> None:
    """What braces name and is not there is no smaller data set, and endless braces are refused."""
    write_shards(tmp_path, ["0.tar", "1.tar"])
    with pytest.raises(DataNotFoundError, match=r"2\.tar does not exist"):
        read_folder(tmp_path / "{0..2}.tar")
    with pytest.raises(DataError, match="more than 1,000,000"):
        read_folder(tmp_path / "{0..999999999999}.tar")


@pytest.mark.parametrize("names", [
    ["train/0.tar", "val/0.tar", "test/0.tar"],
    ["x-train-00.tar", "x-valid-00.tar", "x_test_00.tar"],
])  # fmt: skip
def test_names_tell_of_splits(tmp_path: Path, names: list[str]) -> None:
    """Folders or words of the shards' names are splits, as everywhere; one alone is none."""
    write_shards(tmp_path, names)
    folder = read_folder(tmp_path)
    assert folder.layout == "splits"
    assert Counter(file.split for file in folder.files) == {"train": 2, "val": 2, "test": 2}
    alone = read_folder(tmp_path / names[2])
    assert (alone.layout, len(alone.files)) == ("classes", 2)


def test_the_recorded_split_counts(tmp_path: Path) -> None:
    """A split and a group inside a .json file are used; an image without one is beside them."""
    write_tar(tmp_path / "test.tar", {
        **sample("0", 0, label="a", split="train", group="g"), **sample("1", 1, label="b",
        split="train"), **sample("2", 2, label="a", split="val")})  # fmt: skip
    write_tar(tmp_path / "more.tar", {**sample("0", 5, label="a"), **sample("1", 6, label="b")})
    folder = read_folder(tmp_path)
    assert [(file.split, file.group) for file in folder.files] == [
        ("train", "g"), ("train", ""), ("val", "")]  # fmt: skip
    assert reasons(folder) == {"beside_splits": 2}


def test_images_come_first(tmp_path: Path) -> None:
    """A folder of class folders with an archive beside them is what it was."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(png())
    write_shards(tmp_path, ["backup.tar"])
    folder = read_folder(tmp_path)
    assert (folder.kind, len(folder.files)) == ("folder", 2)


def test_a_tar_file_of_class_folders_is_read(tmp_path: Path) -> None:
    """Like a ZIP file: with classes or splits, in one enclosing folder or not, tables too."""
    path = tmp_path / "x.tar"
    write_tar(path, {f"photos/{name}/{number}.png": png(number) for name in "ab"
                     for number in range(2)})  # fmt: skip
    folder = read_folder(path)
    assert (folder.kind, folder.class_names, len(folder.files)) == ("tar", ("a", "b"), 4)
    assert decode(folder.paths[0], POLICY).shape == (8, 8, 3)
    write_tar(
        path, {f"{split}/{name}/1.png": png() for split in ("train", "test") for name in "ab"}
    )
    assert read_folder(path).splits == {"train", "test"}
    assert read_folder(path / "test").class_names == ("a", "b")
    with pytest.raises(DataError, match="decompress it"):
        read_folder(path.rename(tmp_path / "x.tar.gz"))


# --- Damage and pixels -----------------------------------------------------------------------


def test_a_corrupt_shard_is_named_and_its_good_images_used(tmp_path: Path) -> None:
    """Overwritten, cut off, no tar file at all: named in the check, and the rest is used."""
    write_shards(tmp_path, ["0.tar", "1.tar", "2.tar", "3.tar"])
    content = bytearray((tmp_path / "1.tar").read_bytes())
    content[:200] = b"?" * 200
    (tmp_path / "1.tar").write_bytes(content)
    (tmp_path / "2.tar").write_bytes((tmp_path / "2.tar").read_bytes()[:1400])
    (tmp_path / "3.tar").write_bytes(b"<html>Not found</html>" * 100)
    report = check(tmp_path, image_size=8, near_duplicates=False)
    found = {finding.code: finding for finding in report.findings}
    assert set(found["ignored_damaged_archive"].examples) == {"1.tar", "2.tar", "3.tar"}
    assert found["ignored_damaged_archive"].severity == "warning"
    assert report.kind == "shards"
    assert [file.path for file in read_folder(tmp_path).files][:2] == ["0.tar/0.png", "0.tar/1.png"]
    assert "1.tar/1.png" in labels(read_folder(tmp_path))


def test_a_shard_gives_the_pixels_of_the_file(tmp_path: Path) -> None:
    """By the scan, which knows where the images lie, by path, and by streaming: the same pixels."""
    write_shards(tmp_path / "shards", ["0.tar", "1.tar"])
    folder = read_folder(tmp_path / "shards")
    stored = open_store(folder, POLICY, mode="memory").pixels
    streamed = open_store(folder, POLICY, mode="off").pixels
    for row, path in enumerate(folder.paths):
        index = slice(row, row + 1)
        expected = decode(png(10 * (row // 2) + row % 2), POLICY)
        assert (decode(path, POLICY) == expected).all()
        for pixels in (stored, streamed):
            assert (pixels.rows(range(*index.indices(4)))[0] == expected).all()  # type: ignore[arg-type]


def test_a_shard_that_is_cut_off_while_training_is_an_error(tmp_path: Path) -> None:
    """The image that cannot be read any more is named."""
    write_shards(tmp_path / "shards", ["0.tar"])
    folder = read_folder(tmp_path / "shards")
    pixels = open_store(folder, POLICY, mode="off").pixels
    (tmp_path / "shards" / "0.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"0\.tar/1\.png.*leave the folder as it is"):
        pixels.rows([1])  # type: ignore[arg-type]
    with pytest.raises(ImageError):
        decode(folder.paths[0], POLICY)
