from __future__ import annotations

import io
import os
import stat
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgclf.data.checks.data_report import check
from imgclf.data.pixels.decoder import DecodingLimits, decode, read_content
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading import zip_files
from imgclf.data.reading.archives import find_archive, open_archive
from imgclf.data.reading.layout import find_images, read_folder
from imgclf.data.reading.members import sort_members
from imgclf.errors import DataError, DataNotFoundError, ImageError

MakeFolder = Callable[..., Path]


def pack(root: Path, target: Path, *, above: str = "", method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Pack a folder as a person would, `above` being the folder that everything lies in."""
    with zipfile.ZipFile(target, "w", method) as packed:
        for path in sorted(root.rglob("*")):
            packed.write(path, f"{above}{path.relative_to(root).as_posix()}")
    return target


def pack_members(target: Path, members: dict[str, bytes]) -> Path:
    """Write a ZIP file with members of any name."""
    with zipfile.ZipFile(target, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return target


def png(level: int = 0) -> bytes:
    """Return a small picture as a file's content."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (level, 2 * level % 256, 255 - level)).save(stream, "PNG")
    return stream.getvalue()


def photos(*names: str) -> dict[str, bytes]:
    """Return members that are pictures."""
    return {name: png(number) for number, name in enumerate(names)}


def reasons(path: Path) -> dict[str, str]:
    """Read a ZIP file and return why each thing in it was left out."""
    return {item.path: item.reason for item in read_folder(path, min_classes=0).left_out}


# --- Layouts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("above", ["", "photos/", "my/photos/"])
@pytest.mark.parametrize("split", [False, True])
def test_a_zip_file_is_read_like_its_folder(
    tmp_path: Path, make_folder: MakeFolder, above: str, split: bool
) -> None:
    """Both layouts, also where one folder holds all: same classes, files and splits as unpacked."""
    counts = {"train__a": 2, "train__b": 1, "val__a": 1, "val__b": 1} if split else {"a": 2, "b": 1}
    root = make_folder(**counts)
    plain, packed = read_folder(root), read_folder(pack(root, tmp_path / "x.zip", above=above))
    assert packed.kind == "zip"
    assert packed.layout == plain.layout
    assert packed.class_names == plain.class_names
    found = [(file.path, file.label, file.split) for file in packed.files]
    assert found == [(file.path, file.label, file.split) for file in plain.files]
    assert packed.absolute(packed.files[0]).startswith(str(tmp_path / "x.zip"))


def test_a_table_in_a_zip_file_gives_classes(tmp_path: Path) -> None:
    """A CSV file beside the images, paths relative to it; what it names and is absent is listed."""
    lines = (
        "path,label,group\n1.png,cat,g\n./sub/2.png,dog,\n../../secret.png,dog,\ngone.png,cat,\n"
    )
    members = {**photos("data/1.png", "data/sub/2.png"), "data/labels.csv": lines.encode()}
    (tmp_path / "secret.png").write_bytes(png())
    folder = read_folder(pack_members(tmp_path / "x.zip", members))
    assert folder.class_names == ("cat", "dog")
    assert [(file.path, file.group) for file in folder.files] == [
        ("./sub/2.png", ""),
        ("1.png", "g"),
    ]
    assert {item.path for item in folder.left_out} == {"../../secret.png", "gone.png"}
    for file in folder.files:
        assert decode(folder.absolute(file), InputPolicy((8, 8))).shape == (8, 8, 3)


def test_another_table_in_a_zip_file_is_no_hindrance(tmp_path: Path) -> None:
    """A CSV file beside the class folders that lists no images, however broken, changes nothing."""
    for content in (b"x" * 200_000, b'"name,age\n1,2', "a,b".encode("utf-16-le"), b"path\n1.png\n"):
        members = {**photos("a/1.png", "b/1.png"), "notes.csv": content}
        path = pack_members(tmp_path / "x.zip", members)
        assert read_folder(path).class_names == ("a", "b")


def test_a_folder_in_a_zip_file_can_be_given(tmp_path: Path) -> None:
    """photos.zip/test leads into the file; a wrong one is an error like a wrong folder."""
    path = pack_members(tmp_path / "x.zip", photos("train/a/1.png", "test/a/1.png", "test/b/1.png"))
    assert read_folder(path / "test").class_names == ("a", "b")
    with pytest.raises(DataNotFoundError, match="does not exist"):
        read_folder(path / "nowhere")
    assert find_images(path) == [
        str(path / name) for name in ("test/a/1.png", "test/b/1.png", "train/a/1.png")
    ]


def test_what_systems_leave_behind_is_ignored(tmp_path: Path) -> None:
    """__MACOSX and hidden members are no classes and do not hide the one folder that counts."""
    members = photos("p/a/1.png", "p/b/1.png", "__MACOSX/p/a/._1.png", "p/a/._1.png", ".x/1.png")
    path = pack_members(tmp_path / "x.zip", members)
    assert read_folder(path).class_names == ("a", "b")
    assert reasons(path) == {"a/._1.png": "hidden"}


# --- Distrust --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../a/evil.png", "/a/evil.png", "a/../../evil.png", "..\\a\\evil.png", "C:\\a\\evil.png"],
)
def test_names_that_lead_elsewhere_are_left_out(tmp_path: Path, name: str) -> None:
    """A member called ../x is no image; it is named with its reason, and nothing is read there."""
    (tmp_path / "evil.png").write_bytes(png())
    path = pack_members(tmp_path / "x.zip", {**photos("p/a/1.png", "p/b/1.png"), name: png()})
    folder = read_folder(path)
    assert [file.path for file in folder.files] == ["a/1.png", "b/1.png"]
    assert [item.reason for item in folder.left_out] == ["unsafe_path"]


def test_links_and_repeated_names_are_left_out(tmp_path: Path) -> None:
    """A link could lead anywhere, and of two members of one name nobody knows which is meant."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name in ("a/1.png", "b/1.png", "a\\1.png"):
            packed.writestr(name, png())
        link = zipfile.ZipInfo("a/2.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc/passwd")
    assert reasons(path) == {"a/1.png": "stored_twice", "a/2.png": "link_in_archive"}


def test_backslashes_and_dots_are_understood(tmp_path: Path) -> None:
    """Some programs pack folders with backslashes, some with ./ in front."""
    path = pack_members(tmp_path / "x.zip", photos("p\\a\\1.png", "./p/b/1.png"))
    folder = read_folder(path)
    assert [file.path for file in folder.files] == ["a/1.png", "b/1.png"]
    for file in folder.files:
        assert read_content(folder.absolute(file))


def test_encrypted_members_are_named(tmp_path: Path) -> None:
    """A password cannot be guessed: the reason code says so, image by image."""
    path = pack_members(tmp_path / "x.zip", photos("a/1.png", "b/1.png"))
    content = bytearray(path.read_bytes())
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # flags of the first member
        content[content.index(sign) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        decode(path / "a" / "1.png", InputPolicy((8, 8)))
    assert caught.value.reason == "encrypted"
    assert "a/1.png" in str(caught.value)
    assert decode(path / "b" / "1.png", InputPolicy((8, 8))).shape == (8, 8, 3)


def test_rare_compressions_are_refused(tmp_path: Path) -> None:
    """What cannot be read piece by piece could fill the memory from a few bytes."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as packed:
        packed.writestr("a/1.png", png())
    with pytest.raises(ImageError, match="method 12") as caught:
        read_content(path / "a" / "1.png")
    assert caught.value.reason == "compression_not_accepted"


def test_a_member_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    """A stated size above the cap is refused, and one that lies reads no more than it states."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/1.png", b"\0" * 5_000_000)
    with pytest.raises(ImageError) as caught:
        read_content(path / "a" / "1.png", DecodingLimits(max_bytes=1_000_000))
    assert caught.value.reason == "too_many_bytes"
    content = path.read_bytes()
    lying = content.replace((5_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(lying)
    with pytest.raises(ImageError) as caught:
        read_content(path / "a" / "1.png", DecodingLimits(max_bytes=1_000_000))
    assert caught.value.reason == "corrupt"


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too much unpacked, too many members, an endless list of members: one sentence each."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(10):
            packed.writestr(f"a/{number}.png", b"\0" * 100_000)
    assert len(read_folder(path, min_classes=1).files) == 10
    for name, value, told in (
        ("FREE_BYTES", 0, "times as large unpacked"),
        ("MAX_MEMBERS", 9, "10 members, more than 9"),
        ("MAX_DIRECTORY_BYTES", 100, "list of members takes"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(zip_files, name, value)
            zip_files._open.cache_clear()
            with pytest.raises(DataError, match=told):
                read_folder(path)


@pytest.mark.parametrize(
    "name", ["a/" * 20_000 + "1.png", "a/" * 20_000, "b/" + "x" * 5000 + ".png"]
)
def test_endless_names_are_left_out(tmp_path: Path, name: str) -> None:
    """Folders 20,000 deep, or a name that no disk can hold, cost that member alone, with a word."""
    path = pack_members(tmp_path / "x.zip", {**photos("a/1.png", "b/1.png"), name: png()})
    folder = read_folder(path)
    assert [file.path for file in folder.files] == ["a/1.png", "b/1.png"]
    assert [item.reason for item in folder.left_out] == ["too_deep"]
    report = check(path, image_size=(16, 16))
    told = next(finding for finding in report.findings if finding.code == "ignored_too_deep")
    assert told.severity == "warning"
    assert all(len(example) < 500 for example in told.examples)
    assert report.num_usable == 2


def test_deep_folders_are_read(tmp_path: Path) -> None:
    """What lies 90 folders deep is found, decoded and given as a folder of its own."""
    above = "x/" * 89
    path = pack_members(tmp_path / "x.zip", photos(f"{above}a/1.png", f"{above}b/1.png"))
    folder = read_folder(path)
    assert folder.class_names == ("a", "b")
    assert len(read_content(folder.absolute(folder.files[0]))) > 0
    assert read_folder(path / "x" / "x").class_names == ("a", "b")


def test_folders_count_as_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names can tell of a hundred times as many folders as there are members: they are counted."""
    members = photos(*(f"{number}/{'x/' * 90}1.png" for number in range(10)))
    path = pack_members(tmp_path / "x.zip", members)
    assert len(read_folder(path).files) == 10
    monkeypatch.setattr("imgclf.data.reading.members.MAX_MEMBERS", 500)
    sort_members.cache_clear()
    with pytest.raises(DataError, match="more than 500 folders: unpack it"):
        read_folder(path)


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    """What lies in a folder that another member says is a file cannot be reached: it is told of."""
    path = pack_members(tmp_path / "x.zip", photos("a/1.png", "b/1.png", "b/1.png/2.png", "a"))
    assert reasons(path) == {"b/1.png/2.png": "stored_twice", "a": "stored_twice"}


def test_a_long_table_in_a_zip_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of more rows than a ZIP file may have members, or of endless size, is refused."""
    rows = "".join(f"{number}.png,a\n" for number in range(20))
    members = {**photos("1.png"), "images.csv": f"path,label\n{rows}".encode()}
    path = pack_members(tmp_path / "x.zip", members)
    monkeypatch.setattr("imgclf.data.reading.table.MAX_MEMBERS", 10)
    with pytest.raises(DataError, match="lists more than 10 images"):
        read_folder(path)
    monkeypatch.setattr("imgclf.data.reading.trees.MAX_TABLE_BYTES", 100)
    with pytest.raises(DataError, match="has 1 images but no class folders"):
        read_folder(path)


def _processor_s() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def test_empty_members_cost_little(tmp_path: Path) -> None:
    """30,000 empty members are refused one by one, for a few times what it takes to list them."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(30_000):
            packed.writestr(f"{'ab'[number % 2]}/{number}.png", b"")
    began_s = _processor_s()
    for _ in range(5):
        zipfile.ZipFile(path).close()
    listed_s = _processor_s()
    report = check(path)
    assert _processor_s() - listed_s < 28 * (listed_s - began_s) / 5
    assert (report.num_files, report.num_usable) == (30_000, 0)


def test_damaged_files_are_explained(tmp_path: Path) -> None:
    """What is no ZIP file, or half of one, is one sentence; a damaged member loses itself only."""
    path = tmp_path / "x.zip"
    path.write_bytes(b"no zip")
    with pytest.raises(DataError, match="no ZIP file, or a damaged one"):
        read_folder(path)
    pack_members(path, photos("a/1.png", "b/1.png"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged"):
        read_folder(path)
    path.write_bytes(whole.replace(b"IHDR", b"IXDR", 1))
    with pytest.raises(ImageError) as caught:
        read_content(path / "a" / "1.png")
    assert caught.value.reason == "corrupt"
    assert read_content(path / "b" / "1.png") == png(1)


# --- Pixels ----------------------------------------------------------------------------------


def test_a_member_gives_the_pixels_of_the_file(tmp_path: Path, make_folder: MakeFolder) -> None:
    """Packed or not, stored or deflated, read by threads at once: the same pixels."""
    root = make_folder(a=30, b=1)
    files = [root / file.path for file in read_folder(root).files]
    expected = [decode(path, InputPolicy((16, 16))) for path in files]
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        packed = pack(root, tmp_path / f"{method}.zip", method=method)
        found: dict[int, object] = {}

        def read(first: int, packed: Path = packed, found: dict[int, object] = found) -> None:
            for index in range(first, len(files), 3):
                member = packed / files[index].relative_to(root)
                found[index] = decode(member, InputPolicy((16, 16)))

        threads = [threading.Thread(target=read, args=(first,)) for first in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for index, pixels in enumerate(expected):
            np.testing.assert_array_equal(found[index], pixels)


def test_a_replaced_file_is_opened_again(tmp_path: Path) -> None:
    """What is remembered of a ZIP file ends with the next version of it."""
    path = pack_members(tmp_path / "x.zip", photos("a/1.png", "b/1.png"))
    before = open_archive(path)
    assert open_archive(path) is before
    pack_members(path, photos("a/1.png", "c/1.png", "c/2.png"))
    assert read_folder(path).class_names == ("a", "c")


def test_only_the_name_makes_a_zip_file(tmp_path: Path, make_folder: MakeFolder) -> None:
    """A folder called x.zip is a folder, and paths without a ZIP file lead nowhere."""
    root = make_folder("folder.zip", a=1, b=1)
    assert find_archive(root / "a" / "0000.png") is None
    assert read_folder(root).kind == "folder"
    with pytest.raises(ImageError) as caught:
        read_content(tmp_path / "gone.zip" / "a.png")
    assert caught.value.reason == "not_found"


def test_a_zip_file_is_checked_where_it_lies(tmp_path: Path, make_folder: MakeFolder) -> None:
    """The scan's processes read members themselves; beside the ZIP file nothing appears."""
    root = make_folder(a=4, b=4)
    (root / "a" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    folder = tmp_path / "given"
    folder.mkdir()
    report = check(pack(root, folder / "x.zip"), image_size=(16, 16))
    assert (report.kind, report.num_files, report.num_usable) == ("zip", 9, 8)
    assert "unusable_corrupt" in {finding.code for finding in report.findings}
    assert [path.name for path in folder.iterdir()] == ["x.zip"]
