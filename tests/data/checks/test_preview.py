"""The promises of the preview: every class is on the sheet, and the seed decides it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from imgclf.data.checks.preview import save_preview
from imgclf.errors import ArgumentError, WriteError

MakeFolder = Callable[..., Path]


def test_a_preview_shows_every_class(tmp_path: Path, make_folder: MakeFolder) -> None:
    """The sheet has a row for each class, each image beside its varied versions."""
    path = save_preview(make_folder(a=5, b=1), tmp_path / "sheet.png", image_size=(20, 30))
    sheet = Image.open(path)
    assert sheet.width == 12 * 34 + 8
    assert sheet.height == 2 * 40 + 16
    assert len(sheet.getcolors(10**6) or []) > 100


def test_a_preview_is_reproducible(tmp_path: Path, make_folder: MakeFolder) -> None:
    """The same seed draws the same sheet, another one another."""
    root = make_folder(a=9, b=9)
    sheets = [
        save_preview(root, tmp_path / f"{n}.png", seed=seed, augmentation="strong").read_bytes()
        for n, seed in enumerate((1, 1, 2))
    ]
    assert sheets[0] == sheets[1] != sheets[2]


def test_a_preview_that_cannot_be_written_is_explained(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    """A missing folder or an unknown ending is one sentence."""
    root = make_folder(a=2, b=2)
    with pytest.raises(WriteError, match=r"nowhere/x\.png cannot be written"):
        save_preview(root, tmp_path / "nowhere/x.png")
    with pytest.raises(ArgumentError, match=r"ends in \.png"):
        save_preview(root, tmp_path / "x.nothing")
