from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imgclf.data.checks.data_report import check
from imgclf.data.division.groups import group_samples
from imgclf.data.division.samples import collect_samples
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import match_classes, read_folder
from imgclf.data.store.pixel_store import open_store
from imgclf.errors import DataError

MakeFolder = Callable[..., Path]


@pytest.fixture
def pile(make_folder: MakeFolder) -> Path:
    """Write six images into one folder without classes."""
    return make_folder("pile", **{".": 6})


def table(root: Path, *lines: str, header: str = "path,label") -> Path:
    """Write a CSV file beside the images."""
    path = root / "images.csv"
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8-sig")
    return path


def test_a_table_gives_classes(pile: Path) -> None:
    """path,label: the labels are the classes, and paths are relative to the table."""
    lines = [f"{number:04}.png,{'dog' if number % 2 else 'cat'}" for number in range(6)]
    folder = read_folder(table(pile, *lines))
    assert folder.layout == "classes"
    assert folder.class_names == ("cat", "dog")
    assert [file.label for file in folder.files] == [0, 1, 0, 1, 0, 1]
    assert all(Path(folder.absolute(file)).is_file() for file in folder.files)


def test_a_table_gives_splits(pile: Path) -> None:
    """The column split stands for split folders, under any of their names."""
    lines = ["0000.png,a,train", "0001.png,b,train", "0002.png,a,valid", "0003.png,b,test"]
    folder = read_folder(table(pile, *lines, header="path,label,split"))
    assert folder.layout == "splits"
    assert [file.split for file in folder.files] == ["train", "train", "val", "test"]


def test_a_table_gives_groups(pile: Path) -> None:
    """Images with the same entry in the column group belong together."""
    lines = ["0000.png,a,p1", "0001.png,b,p2", "0002.png,a,p1", "0003.png,b,"]
    folder = read_folder(table(pile, *lines, header="path,label,group"))
    store = open_store(folder, InputPolicy((16, 16)), mode="memory")
    samples, _ = collect_samples(store, folder.files)
    groups = [sample.group for sample in group_samples(samples)]
    assert groups[0] == groups[2]
    assert len(set(groups)) == 3


def test_missing_images_are_left_out_by_name(pile: Path) -> None:
    """A line whose image does not exist is named, the others are used."""
    folder = read_folder(table(pile, "0000.png,a", "0001.png,b", "gone.png,b"))
    assert [item.path for item in folder.left_out] == ["gone.png"]
    assert len(folder.files) == 2


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("gone/", "paths or links that lead to no file"),
        (".\\", "paths with \\ that lead to no file"),
        ("file:///data/", "addresses such as file://"),
        ("https://example.org/", "addresses such as file://"),
        ("~/", "paths that begin with ~"),
    ],
)
def test_a_table_of_missing_images_is_an_error(pile: Path, prefix: str, reason: str) -> None:
    """Where no image of a table exists, reading and checking it say so, with the likely cause."""
    path = table(pile, *(f"{prefix}000{n}.png,{'ab'[n % 2]}" for n in range(6)))
    with pytest.raises(DataError, match="lists no image that exists") as raised:
        read_folder(path, min_classes=1)
    assert f"6 {reason}" in str(raised.value)
    report = check(path)
    assert not report.trainable
    assert reason in report.findings[0].what


@pytest.mark.parametrize(
    ("header", "lines", "message"),
    [
        ("file,class", ["0000.png,a"], "has the columns file, class: it needs path and label"),
        ("path,label", ["0000.png,"], "line 2: path or label is missing"),
        ("path,label", ["0000.png,a", "0000.png,b"], r"line 3: '0000\.png' is in line 2"),
        ("path,label,split", ["0000.png,a,train", "0001.png,b,"], "line 3: split '' is not"),
        ("path,label,split", ["0000.png,a,tset"], "line 2: split 'tset' is not accepted"),
        ("path,label", ["0000.png,a"], "one class folder with images, 'a'"),
        ("path,label", ["0000.png,a", f"{os.sep}{os.devnull},a"], "one class folder with images"),
        ("path,label", [], "lists no images"),
        ("path,label", ["0000.png,a", "0001.png,b\x07"], r"line 3: the label 'b\\x07' has control"),
        ("path,label,label", ["0000.png,a,b"], "has the column 'label' twice"),
        ("path,label", ["0000.png,a", "", "00,01.png,b"], "line 4: there are more entries than"),
        ("path,label", ["0000.png,a", '"0001.png,b', "0002.png,c"], "line 3: .*not closed"),
        ("path,label", ["0000.png,a", '"0001.png"x,b'], "line 3: .*a part of a name"),
    ],
)
def test_faults_are_named_by_line(pile: Path, header: str, lines: list[str], message: str) -> None:
    """What is wrong with a table is said with its line and what to write instead."""
    with pytest.raises(DataError, match=message):
        read_folder(table(pile, *lines, header=header))


def test_many_classes_are_numbered_at_once(pile: Path) -> None:
    """A table of 30,000 classes is read in a few seconds: none is looked for among the others."""
    lines = [  # 30,000 ways to write six names
        f".{'/' * (1 + n // 6 % 100)}{'./' * (n // 600)}000{n % 6}.png,{n}" for n in range(30_000)
    ]
    path = table(pile, *lines)
    began_s = time.process_time()
    folder = read_folder(path)
    assert time.process_time() - began_s < 8
    assert len(folder.class_names) == 30_000
    numbers = {file.path: folder.class_names[file.label] for file in folder.files}
    assert len(numbers) == 30_000
    assert numbers["./0003.png"] == "3"
    assert match_classes(folder, folder.class_names)[0][7].label == folder.files[7].label


def test_an_endless_entry_is_named_by_line(pile: Path) -> None:
    """What Python's own reader of CSV files refuses is one sentence with the line."""
    path = table(pile, "0000.png,a", f"{'x' * 200_000},b")
    with pytest.raises(DataError, match=r"images\.csv, line 3: this is no CSV file"):
        read_folder(path)


def test_entries_that_a_line_lacks_are_empty(pile: Path) -> None:
    """A line with fewer entries than columns is told of as one whose entries are empty."""
    with pytest.raises(DataError, match="line 3: path or label is missing"):
        read_folder(table(pile, "0000.png,a", "0001.png"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_spreadsheets_write_is_read(
    pile: Path, encoding: str, delimiter: str, end: str
) -> None:
    """Any usual separator, encoding and end of line; capitals, blanks, empty columns and rows."""
    lines = ["Path, Label ,,", "0000.png,a,,", "0001.png,é,,", ",,,", ""]
    path = pile / "images.csv"
    path.write_bytes(end.join(lines).replace(",", delimiter).encode(encoding))
    folder = read_folder(path)
    assert folder.class_names == ("a", "é")
    assert [file.path for file in folder.files] == ["0000.png", "0001.png"]


def test_another_encoding_is_named_as_the_cause(pile: Path) -> None:
    """UTF-16 without its mark is refused with the remedy, not with what it looks like."""
    path = pile / "images.csv"
    path.write_bytes("path,label\n0000.png,a\n".encode("utf-16-le"))
    with pytest.raises(DataError, match="line 1: this is no UTF-8 text: save the file as CSV UTF"):
        read_folder(path)


def test_another_alphabet_in_another_encoding_is_named_by_line(pile: Path) -> None:
    """A label whose bytes are no UTF-8 is refused with its line and the remedy."""
    path = pile / "images.csv"
    path.write_bytes("path,label\n0000.png,a\n0001.png,café\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 3: the label .* save the file as CSV UTF-8"):
        read_folder(path)


def test_a_message_never_prints_half_the_file(pile: Path) -> None:
    """Two stray quotes make one entry of all lines between them: an error shows its beginning."""
    between = [f"{number:04}.png,a" for number in range(1000)]
    path = table(pile, "0000.png,a,train", f'0001.png,b,"{between[0]}', *between[1:], 'x.png,b"',
                 header="path,label,split")  # fmt: skip
    with pytest.raises(DataError, match="line 3: split '0000") as raised:
        read_folder(path)
    assert len(str(raised.value)) < 500
