"""The promises of collecting a folder's images: usable ones, and a reason for every other file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from imgclf.data.division.samples import collect_samples
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import read_folder
from imgclf.data.store.pixel_store import PixelStore, open_store
from imgclf.errors import DataError

MakeFolder = Callable[..., Path]


def open_folder(root: Path) -> PixelStore:
    """Scan a folder at 32 x 32."""
    return open_store(read_folder(root), InputPolicy((32, 32)), mode="memory")


def test_files_are_parted_into_usable_and_others(make_folder: MakeFolder) -> None:
    """Each file is either a sample with its hash or quarantined with its reason."""
    root = make_folder(a=3, b=3)
    (root / "b" / "0001.png").write_bytes(b"")
    store = open_folder(root)
    samples, quarantined = collect_samples(store, store.folder.files)
    assert [item.row for item in samples] == [0, 1, 2, 3, 5]
    assert [(Path(item.path).name, item.reason) for item in quarantined] == [
        ("0001.png", "empty_file")
    ]


def test_a_folder_without_usable_images_is_explained(make_folder: MakeFolder) -> None:
    """Where nothing can be decoded, the error counts the reasons."""
    root = make_folder(a=2, b=1)
    for path in (root / "a").iterdir():
        path.write_bytes(b"<!DOCTYPE html>")
    (root / "b" / "0000.png").write_bytes(b"")
    store = open_folder(root)
    with pytest.raises(DataError, match=r"2 of 3 files, .*not an image.*1 of 3 .*file is empty"):
        collect_samples(store, store.folder.files)


def test_the_log_stays_short(make_folder: MakeFolder, caplog: pytest.LogCaptureFixture) -> None:
    """Thirty bad files are twenty lines and a count, not a flood."""
    root = make_folder(a=31, b=1)
    for path in sorted((root / "a").iterdir())[1:]:
        path.write_bytes(b"")
    store = open_folder(root)
    with caplog.at_level(logging.INFO, "imgclf"):
        collect_samples(store, store.folder.files)
    assert len(caplog.records) == 21
    assert "10 more files" in caplog.text
