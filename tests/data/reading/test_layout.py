from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from imgclf.data.reading.layout import find_images, match_classes, read_folder, read_folders
from imgclf.errors import DataError, DataNotFoundError

MakeFolder = Callable[..., Path]
MakeImage = Callable[..., Path]


def reasons(root: Path) -> dict[str, str]:
    """Read a folder and return why each thing in it was left out."""
    return {item.path: item.reason for item in read_folder(root).left_out}


# --- Layouts ---------------------------------------------------------------------------------


def test_class_folders_become_classes(make_folder: MakeFolder) -> None:
    """A folder of class folders is understood, with its files in byte order."""
    folder = read_folder(make_folder(dog=2, cat=1))
    assert folder.layout == "classes"
    assert folder.class_names == ("cat", "dog")
    assert [(file.path, file.label) for file in folder.files] == [
        ("cat/0000.png", 0), ("dog/0000.png", 1), ("dog/0001.png", 1),
    ]  # fmt: skip
    assert folder.splits == frozenset()


def test_class_names_are_byte_sorted(make_folder: MakeFolder) -> None:
    """Upper case comes before lower case and accents come last, whatever the locale."""
    folder = read_folder(make_folder(**{"b": 1, "B": 1, "é": 1, "a": 1, "a b": 1}))
    assert folder.class_names == ("B", "a", "a b", "b", "é")


@pytest.mark.parametrize(
    "name",
    [
        *("می\u200cخواهم", "क\u094d\u200dष", "👨\u200d👩\u200d👧", "東\u3000京", "New\u00a0York"),
        *("co\u00adoperate", "שלום\u200f"),
    ],
)
def test_names_of_all_scripts_are_classes(make_folder: MakeFolder, name: str) -> None:
    """Joiners, wide and fixed spaces, soft hyphens and marks of direction are parts of names."""
    assert name in read_folder(make_folder(**{name: 1, "other": 1})).class_names


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses such names itself")
@pytest.mark.parametrize("name", ["a\nb", "a\x1bb", "a\x85b", "a\u2028b", "a\u202eb"])
def test_names_that_mislead_are_no_classes(make_folder: MakeFolder, name: str) -> None:
    """Control characters, line breaks and what turns the direction of writing are refused."""
    with pytest.raises(DataError, match="has control characters, line breaks or bytes that are no"):
        read_folder(make_folder(**{name: 1, "other": 1}))


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validation"])
def test_split_folders_are_understood(make_folder: MakeFolder, name: str) -> None:
    """train/ beside any usual name of the validation folder gives splits, not classes."""
    root = make_folder(train__cat=2, train__dog=2, **{f"{name}__cat": 1, f"{name}__dog": 1})
    folder = read_folder(root)
    assert folder.layout == "splits"
    assert folder.class_names == ("cat", "dog")
    assert folder.splits == {"train", "val"}


def test_train_and_test_alone_are_splits(make_folder: MakeFolder) -> None:
    """A missing val/ does not turn train/ and test/ into classes."""
    folder = read_folder(make_folder(train__a=1, train__b=1, test__a=1, test__b=1))
    assert folder.splits == {"train", "test"}


def test_train_alone_is_a_split(make_folder: MakeFolder) -> None:
    """A folder with nothing but train/ in it is the training part of a data set."""
    folder = read_folder(make_folder(train__a=1, train__b=1))
    assert folder.layout == "splits"
    assert folder.splits == {"train"}


def test_a_class_may_be_called_test(make_folder: MakeFolder) -> None:
    """One folder with a split's name among others is a class like them."""
    folder = read_folder(make_folder(test=1, other=1, third=1))
    assert folder.class_names == ("other", "test", "third")


def test_two_names_of_one_split_are_refused(make_folder: MakeFolder) -> None:
    """val/ beside validation/ is an error that names both."""
    root = make_folder(train__a=1, train__b=1, val__a=1, validation__a=1)
    with pytest.raises(DataError, match="'val', 'validation', which mean the same"):
        read_folder(root)


def test_splits_without_train_are_refused(make_folder: MakeFolder) -> None:
    """val/ and test/ alone are an error that asks for train/."""
    with pytest.raises(DataError, match="but no train/"):
        read_folder(make_folder(val__a=1, test__a=1))


def test_folders_below_a_class_belong_to_it(make_folder: MakeFolder) -> None:
    """Images in folders below a class folder are that class's."""
    folder = read_folder(make_folder(cat__2024=1, cat__2025__may=1, dog=1))
    assert folder.class_names == ("cat", "dog")
    assert [file.label for file in folder.files] == [0, 0, 1]


# --- What is not understood ------------------------------------------------------------------


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A path that does not exist gives an error that is also a FileNotFoundError."""
    with pytest.raises(DataNotFoundError, match="nowhere does not exist"):
        read_folder(tmp_path / "nowhere")


def test_a_file_is_not_a_folder(tmp_path: Path, make_image: MakeImage) -> None:
    """A file in place of the folder is said to be one."""
    with pytest.raises(DataError, match="is a file"):
        read_folder(make_image(tmp_path / "photo.png"))


def test_a_flat_folder_is_explained(make_folder: MakeFolder) -> None:
    """Images without class folders: the error counts them and says how to sort them."""
    with pytest.raises(DataError, match="3 images but no class folders: put the images into one"):
        read_folder(make_folder(**{".": 3}))


def test_an_empty_folder_is_explained(tmp_path: Path) -> None:
    """A folder without any image says so."""
    (tmp_path / "root" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match="has no images"):
        read_folder(tmp_path / "root")


def test_files_without_endings_are_the_reason(make_folder: MakeFolder) -> None:
    """Where no file's name ends like an image's, the error says so instead of "no images" alone."""
    root = make_folder(cat=2, dog=1)
    for path in list(root.rglob("*.png")):
        path.rename(path.with_suffix(""))
    with pytest.raises(DataError, match="3 files whose names do not end like an image's, such as"):
        read_folder(root)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("~/photos", "only a shell replaces ~"),
        ("https://example.org/photos.zip", "an address is no path"),
        pytest.param(
            "data\\photos",
            "write its path with /",
            marks=pytest.mark.skipif(os.sep != "/", reason=""),
        ),
    ],
)
def test_the_likely_cause_of_a_missing_folder_is_named(path: str, message: str) -> None:
    """A path of another system, an address or ~ is missing for a reason that the error names."""
    with pytest.raises(DataNotFoundError, match=message):
        read_folder(path)


@pytest.mark.parametrize("above", ["", "data__", "data__2026__"])
def test_a_folder_that_is_too_high_names_the_right_one(make_folder: MakeFolder, above: str) -> None:
    """Where the class folders lie some folders deeper, the error says which folder to give."""
    root = make_folder(**{f"{above}photos__{name}": 2 for name in ("cat", "dog")})
    inner = Path(root, *above.split("__"), "photos")
    with pytest.raises(DataError) as raised:
        read_folder(root)
    assert f"or give {inner}, which has the folders 'cat', 'dog'" in str(raised.value)


@pytest.mark.parametrize(
    ("given", "known"), [("CAT", "cat"), ("cat ", "cat"), ("cafe\u0301", "caf\u00e9")]
)
def test_a_class_that_only_looks_like_a_known_one_is_named(
    make_folder: MakeFolder, given: str, known: str
) -> None:
    """Case, blanks and composed accents make another class; the error shows the difference."""
    folder = read_folder(make_folder(**{given: 1, "dog": 1}))
    with pytest.raises(DataError) as raised:
        match_classes(folder, [known, "dog"])
    assert f"{given!a} is not {known!r}: rename it" in str(raised.value)


def test_one_class_is_refused(make_folder: MakeFolder) -> None:
    """One class folder is not enough, and the error names it."""
    with pytest.raises(DataError, match="one class folder with images, 'cat'; a classifier needs"):
        read_folder(make_folder(cat=2))


def test_one_level_too_deep_is_recognised(make_folder: MakeFolder) -> None:
    """root/photos/cat, root/photos/dog: the error says to give root/photos."""
    with pytest.raises(DataError, match=r"or give .*photos, which has the folders 'cat', 'dog'"):
        read_folder(make_folder(photos__cat=1, photos__dog=1))


@pytest.mark.skipif(sys.platform != "linux", reason="only here may names be any bytes")
def test_a_class_name_that_is_no_text_is_refused(make_folder: MakeFolder) -> None:
    """A class folder whose name is not UTF-8 is named, escaped, and must be renamed."""
    root = make_folder(cat=1, dog=1)
    Path(os.fsdecode(os.fsencode(root / "dog"))).rename(root / os.fsdecode(b"d\xf6g"))
    with pytest.raises(DataError, match=r"'d\\udcf6g'.*rename it") as caught:
        read_folder(root)
    str(caught.value).encode()


# --- What is left out ------------------------------------------------------------------------


def test_litter_is_left_out_and_named(make_folder: MakeFolder, make_image: MakeImage) -> None:
    """Hidden and system files and folders never become classes or images."""
    root = make_folder(cat=1, dog=1)
    make_image(root / ".ipynb_checkpoints" / "a.png")
    make_image(root / "__MACOSX" / "cat" / "a.png")
    make_image(root / "cat" / "._0000.png")
    make_image(root / "cat" / ".ipynb_checkpoints" / "0000-checkpoint.png")
    (root / "cat" / "Thumbs.db").write_bytes(b"x")
    (root / "dog" / "notes.txt").write_text("x")
    (root / "readme.md").write_text("x")
    (root / "empty").mkdir()
    assert reasons(root) == {
        ".ipynb_checkpoints": "hidden",
        "__MACOSX": "system",
        "cat/._0000.png": "hidden",
        "cat/.ipynb_checkpoints": "hidden",
        "cat/Thumbs.db": "system",
        "dog/notes.txt": "unknown_ending",
        "readme.md": "no_class",
        "empty": "empty_folder",
    }
    assert len(read_folder(root).files) == 2


def test_what_lies_beside_splits_is_named(make_folder: MakeFolder) -> None:
    """A third folder beside train/ and val/ is reported, not mistaken for a class."""
    root = make_folder(train__a=1, train__b=1, val__a=1, val__b=1, extra__a=1)
    assert reasons(root) == {"extra": "beside_splits"}


def test_endings_in_any_case_are_images(make_folder: MakeFolder, make_image: MakeImage) -> None:
    """PHOTO.JPG from a camera is an image."""
    root = make_folder(cat=1, dog=1)
    make_image(root / "cat" / "PHOTO.JPG")
    assert "cat/PHOTO.JPG" in [file.path for file in read_folder(root).files]


# --- Links and odd files ---------------------------------------------------------------------


def test_link_loops_end(make_folder: MakeFolder) -> None:
    """Links that lead back up are named and not followed: they hold the other classes too."""
    root = make_folder(cat=1, dog=1)
    (root / "cat" / "again").symlink_to(root / "cat")
    (root / "dog" / "all").symlink_to(root)
    (root / "dog" / "itself").symlink_to("itself")
    found = reasons(root)
    assert found["cat/again"] == "link_loop"
    assert found["dog/all"] == "link_loop"
    assert "dog/itself" in found
    assert len(read_folder(root).files) == 2


def test_many_links_between_folders_do_not_multiply(make_folder: MakeFolder) -> None:
    """Twelve folders that all link to each other are read twelve times, not 12! times."""
    names = [f"cat__{number}" for number in range(12)]
    root = make_folder(dog=1, **dict.fromkeys(names, 1))
    for one in range(12):
        for other in range(12):
            (root / "cat" / str(one) / f"to{other}").symlink_to(root / "cat" / str(other))
    assert len(read_folder(root).files) == 13


def test_linked_class_folders_and_files_are_read(
    tmp_path: Path, make_folder: MakeFolder, make_image: MakeImage
) -> None:
    """A folder built of links works like one of files."""
    real = make_folder("real", cat=2, dog=2)
    root = tmp_path / "linked"
    root.mkdir()
    (root / "cat").symlink_to(real / "cat")
    (root / "dog").mkdir()
    (root / "dog" / "one.png").symlink_to(real / "dog" / "0000.png")
    assert [file.path for file in read_folder(root).files] == [
        "cat/0000.png", "cat/0001.png", "dog/one.png",
    ]  # fmt: skip


def test_a_broken_link_is_named(make_folder: MakeFolder) -> None:
    """A link that points nowhere is left out by name, as missing."""
    root = make_folder(cat=1, dog=1)
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    assert reasons(root) == {"cat/gone.png": "missing"}


@pytest.mark.skipif(sys.platform != "linux", reason="only here may names be any bytes")
def test_file_names_need_not_be_utf_8(make_folder: MakeFolder, make_image: MakeImage) -> None:
    """A file name of any bytes is found, and its path leads to the file."""
    root = make_folder(cat=1, dog=1)
    plain = make_image(root / "cat" / "x.png")
    plain.rename(root / "cat" / os.fsdecode(b"caf\xe9.png"))
    folder = read_folder(root)
    (odd,) = [file for file in folder.files if not file.path.isprintable()]
    assert Path(folder.absolute(odd)).is_file()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_block(make_folder: MakeFolder) -> None:
    """A FIFO with an image's name is listed without opening it."""
    root = make_folder(cat=1, dog=1)
    os.mkfifo(root / "cat" / "pipe.jpg")
    assert len(read_folder(root).files) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads anything")
def test_an_unreadable_folder_is_named(make_folder: MakeFolder) -> None:
    """A class folder without permission is left out by name."""
    root = make_folder(cat=1, dog=1, fox=1)
    (root / "fox").chmod(0)
    try:
        assert reasons(root)["fox"] in ("unreadable", "empty_folder")
    finally:
        (root / "fox").chmod(0o755)


def test_nothing_is_left_open(make_folder: MakeFolder) -> None:
    """Reading leaves no open folder behind, which Python would warn about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_folder(make_folder(train__a=1, train__b=1))


def test_paths_are_absolute(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder still leads to its files after the working directory changed."""
    root = make_folder(cat=1, dog=1)
    monkeypatch.chdir(root.parent)
    folder = read_folder(root.name)
    monkeypatch.chdir("/")
    assert Path(folder.absolute(folder.files[0])).is_file()


# --- Matching classes ------------------------------------------------------------------------


def test_classes_are_matched_by_name(make_folder: MakeFolder) -> None:
    """A folder that lacks a class keeps the other labels, and the lack is named."""
    folder = read_folder(make_folder(cat=1, dog=1))
    files, warning = match_classes(folder, ("ant", "cat", "dog"))
    assert [file.label for file in files] == [1, 2]
    assert "'ant'" in warning


def test_an_unknown_class_is_refused(make_folder: MakeFolder) -> None:
    """A class that the classifier does not know is an error that names both sides."""
    folder = read_folder(make_folder(cat=1, fox=1))
    with pytest.raises(DataError, match=r"'fox'.*Known classes: 'cat', 'dog'"):
        match_classes(folder, ("cat", "dog"))


def test_images_are_found_anywhere(make_folder: MakeFolder) -> None:
    """find_images lists every image below a folder, in byte order, as paths that begin with it."""
    root = make_folder(**{"b__c": 1, "a": 1, ".": 1})
    found = [Path(path).relative_to(root).as_posix() for path in find_images(root)]
    assert found == ["0000.png", "a/0000.png", "b/c/0000.png"]


def test_a_relative_folder_is_searched_like_an_absolute_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`imgclf predict BUNDLE holiday/` finds what the whole path finds, wherever it is typed."""
    (tmp_path / "holiday/day").mkdir(parents=True)
    for name in ("holiday/a.png", "holiday/day/b.png"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert find_images("holiday/") == ["holiday/a.png", "holiday/day/b.png"]
    assert find_images("holiday/day") == ["holiday/day/b.png"]
    monkeypatch.chdir(tmp_path / "holiday")
    assert len(find_images(".")) == len(find_images("..")) == 2


def test_the_folders_of_a_training_are_read_together(tmp_path: Path) -> None:
    """Training images need two classes, held-out images one; a folder that is not given is none."""
    for name in ("t/cat/1.png", "t/dog/1.png", "v/cat/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"")
    folders = read_folders(tmp_path / "t", val_dir=tmp_path / "v")
    assert {split: folder.class_names for split, folder in folders.items()} == {
        "train": ("cat", "dog"),
        "val": ("cat",),
    }
    with pytest.raises(DataError, match="a classifier needs two"):
        read_folders(tmp_path / "v", test_dir=tmp_path / "t")
