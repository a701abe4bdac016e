"""Files are written whole or not at all, and what cannot be written is one line with the path."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from imgclf import atomic
from imgclf.errors import WriteError


def test_a_file_is_replaced(tmp_path: Path) -> None:
    """The new content is there, and nothing else is left in the folder."""
    path = tmp_path / "note.txt"
    for text in ("old", "new"):
        atomic.write_text_atomically(path, text)
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["note.txt"]


def test_a_write_that_fails_midway_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk the old file stays, half of the new one goes, and the path is named."""

    def fill_up(path: Path, content: bytes, _synced: bool) -> None:
        path.write_bytes(content[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "note.txt"
    path.write_text("old")
    monkeypatch.setattr(atomic, "_write_whole", fill_up)
    with pytest.raises(WriteError) as caught:
        atomic.write_atomically(path, b"new")
    assert str(caught.value).startswith(f"{path} cannot be written (No space left on device)")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["note.txt"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """Writing into, moving into, and making what cannot be there end in the same error."""
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"none/a\.txt cannot be written \(No such file"):
        atomic.write_atomically(tmp_path / "none/a.txt", b"")
    with pytest.raises(WriteError, match=r"none/b cannot be written"):
        atomic.move_atomically(tmp_path / "file", tmp_path / "none/b")
    with pytest.raises(WriteError, match=r"file/folder cannot be written"):
        atomic.make_folder(tmp_path / "file/folder")


def test_every_name_that_the_disk_takes_can_be_written(tmp_path: Path) -> None:
    """While it is written, a file's name is no longer than its own; beyond that, it says so."""
    atomic.write_atomically(tmp_path / ("é" * 127), b"")
    with pytest.raises(WriteError, match=r"File name too long\): give a shorter name\."):
        atomic.write_atomically(tmp_path / ("é" * 128), b"")


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    """Writing through links changes the file at their end, also where it is still missing."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "v1").write_text("old")
    (tmp_path / "current").symlink_to(Path("models", "v1"))
    (tmp_path / "link").symlink_to("current")
    atomic.write_text_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "models" / "v1").read_text() == "new"
    (tmp_path / "next").symlink_to(Path("models", "v2"))
    atomic.write_text_atomically(tmp_path / "next", "newer")
    assert (tmp_path / "models" / "v2").read_text() == "newer"
    assert sorted(item.name for item in (tmp_path / "models").iterdir()) == ["v1", "v2"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_only_regular_files_are_replaced(tmp_path: Path) -> None:
    """A pipe, device, folder or endless link is refused and stays what it is."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WriteError, match=r"pipe cannot be written \(it is no regular file\)"):
        atomic.write_atomically(tmp_path / "pipe", b"x")
    assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(WriteError, match=r"/dev/null cannot be written \(it is no regular file\)"):
        atomic.write_atomically(Path("/dev/null"), b"x")
    with pytest.raises(WriteError, match=r"it is a folder\): give the name of a file"):
        atomic.write_atomically(tmp_path, b"x")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(WriteError, match=r"Too many levels"):
        atomic.write_atomically(tmp_path / "loop", b"x")


def test_names_come_out_as_they_are_on_disk(tmp_path: Path) -> None:
    """A name that is not UTF-8 is written as its bytes, between the rows of a CSV file."""
    atomic.write_csv_atomically(tmp_path / "a.csv", ("path", "n"), [("x\udcff,y", 1)])
    assert (tmp_path / "a.csv").read_bytes() == b'path,n\n"x\xff,y",1\n'


def test_what_a_killed_process_was_writing_goes(tmp_path: Path) -> None:
    """Only partial files are removed; a folder that does not exist is no error."""
    for name in (".model.imgclf.0123abcd.partial", "partial", "a.partial"):
        (tmp_path / name).touch()
    atomic.remove_partial_files(tmp_path)
    atomic.remove_partial_files(tmp_path / "none")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.partial", "partial"]
