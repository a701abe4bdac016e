"""Images are kept with the classes that people give them, and nothing else is touched."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import read_folder
from imgclf.errors import ArgumentError, ImageError, WriteError
from imgclf.serving import collection as module
from imgclf.serving.collection import Collection

POLICY = InputPolicy((8, 8))
KNOWN = ("cat", "dog")


def image(seed: int, file_format: str = "PNG") -> bytes:
    """Return a small image file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, file_format)
    return stream.getvalue()


def files(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_is_kept_is_a_folder_to_train_on(tmp_path: Path) -> None:
    """Each image lies in its class's folder, byte for byte, named by its content and format."""
    collection = Collection(tmp_path / "some" / "where")
    kept = [
        collection.keep(image(0), "cat", KNOWN, POLICY),
        collection.keep(image(1, "JPEG"), "dog", KNOWN, POLICY),
        collection.keep(image(2, "WEBP"), "Füchse 🦊", KNOWN, POLICY),
    ]
    assert [one.path.partition("/")[0] for one in kept] == ["cat", "dog", "Füchse 🦊"]
    assert [Path(one.path).suffix for one in kept] == [".png", ".jpg", ".webp"]
    assert all(one.is_new for one in kept)
    found = files(collection.folder)
    assert found[kept[0].path] == image(0)
    assert hashlib.sha256(image(0)).hexdigest().startswith(Path(kept[0].path).stem)
    folder = read_folder(collection.folder)
    assert folder.class_names == ("Füchse 🦊", "cat", "dog")
    assert len(folder.files) == len(found) == 3
    assert not folder.left_out


def test_an_image_is_kept_once(tmp_path: Path) -> None:
    """The same image again changes nothing; with another class it moves there."""
    collection = Collection(tmp_path)
    first = collection.keep(image(0), "cat", KNOWN, POLICY)
    again = collection.keep(image(0), "cat", KNOWN, POLICY)
    assert (again.path, again.is_new, again.moved_from) == (first.path, False, None)
    other = collection.keep(image(0), "dog", KNOWN, POLICY)
    assert (other.is_new, other.moved_from) == (False, "cat")
    assert list(files(tmp_path)) == [other.path]


def test_nothing_of_the_users_is_changed(tmp_path: Path) -> None:
    """Files that lie there stay, and so does a kept one that somebody has edited since."""
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "mine.png").write_bytes(b"mine")
    collection = Collection(tmp_path)
    kept = collection.keep(image(0), "cat", KNOWN, POLICY)
    (tmp_path / kept.path).write_bytes(b"turned around")
    assert not collection.keep(image(0), "cat", KNOWN, POLICY).is_new
    assert files(tmp_path) == {"cat/mine.png": b"mine", kept.path: b"turned around"}


@pytest.mark.parametrize(
    ("label", "fault"),
    [
        ("", "empty"), ("  ", "empty"), (" fox", "blank"), ("..", "dot"), (".fox", "dot"),
        ("../fox", "slash"), ("/etc", "slash"), ("a\\b", "slash"), ("a\0b", "control"),
        ("a\nb", "control"), ("\u202exof", "control"), ("\udce4", "control"),
        ("__MACOSX", "operating systems"), ("x" * 201, "too long"), ("train", "split"),
        ("Test", "split"), ("CAT", "looks like 'cat'"), ("dog ", "blank"),
    ],
)  # fmt: skip
def test_names_that_can_be_no_class_are_refused(tmp_path: Path, label: str, fault: str) -> None:
    """Nothing leaves the folder, hides in it or has a twin there; the message says why."""
    root = tmp_path / "kept"
    collection = Collection(root)
    with pytest.raises(ArgumentError, match=fault):
        collection.keep(image(0), label, KNOWN, POLICY)
    assert not files(tmp_path)
    assert not list(root.iterdir())


def test_a_new_class_has_no_twin_among_the_kept_ones(tmp_path: Path) -> None:
    """What looks like a class that was given before is refused, that class itself is not."""
    collection = Collection(tmp_path)
    collection.keep(image(0), "Fox", KNOWN, POLICY)
    with pytest.raises(ArgumentError, match="looks like 'Fox'"):
        collection.keep(image(1), "fox", KNOWN, POLICY)
    assert collection.keep(image(1), "Fox", KNOWN, POLICY).is_new


def test_a_class_of_the_classifier_may_have_any_folder_name(tmp_path: Path) -> None:
    """A classifier of vehicles may have a class that is called train."""
    assert Collection(tmp_path).keep(image(0), "train", ("car", "train"), POLICY).is_new
    assert Collection(tmp_path).keep(image(1), "car", ("car", "train"), POLICY).is_new


def test_what_is_no_image_is_not_kept(tmp_path: Path) -> None:
    """A file that cannot be decoded to its end is refused, whatever it is called."""
    collection = Collection(tmp_path)
    for content in (b"GIF89a", b"<svg onload=alert(1)>", image(0)[:200]):
        with pytest.raises(ImageError):
            collection.keep(content, "cat", KNOWN, POLICY)
    assert not list(tmp_path.iterdir())


def test_the_disk_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where little room is left, nothing new is kept; a kept image can still be moved."""
    collection = Collection(tmp_path)
    collection.keep(image(0), "cat", KNOWN, POLICY)
    monkeypatch.setattr(module, "LEAST_FREE_BYTES", 2**62)
    with pytest.raises(WriteError, match="must stay free"):
        collection.keep(image(1), "dog", KNOWN, POLICY)
    assert collection.keep(image(0), "dog", KNOWN, POLICY).moved_from == "cat"


def test_split_folders_are_refused(tmp_path: Path) -> None:
    """Beside train/ no class folder would be read: the message names what to give."""
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "train" / "cat" / "1.png").write_bytes(image(0))
    with pytest.raises(ArgumentError, match="train"):
        Collection(tmp_path)
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(WriteError):
        Collection(file)
