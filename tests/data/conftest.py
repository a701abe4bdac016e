"""Small real images, and a cache folder of the test's own."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeImage = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the pixel store of every test away from the user's and from other tests'."""
    folder = tmp_path / "cache-of-the-test"
    monkeypatch.setenv("IMGCLF_CACHE_DIR", str(folder))
    return folder / "pixels"


@pytest.fixture
def make_image() -> MakeImage:
    """Return a function that writes a picture; each seed gives another one."""

    def make(path: Path, seed: object = None, size: tuple[int, int] = (24, 20)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = zlib.crc32(repr(path.name if seed is None else seed).encode())
        coarse = np.random.default_rng(number).integers(0, 256, (5, 6, 3)).astype(np.uint8)
        Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR).save(path)
        return path

    return make


@pytest.fixture
def make_folder(tmp_path: Path, make_image: MakeImage) -> Callable[..., Path]:
    """Return a function that writes an image folder: names with ``/`` and how many images each."""

    def make(name: str = "images", **counts: int) -> Path:
        root = tmp_path / name
        for class_name, count in counts.items():
            for number in range(count):
                place = class_name.replace("__", "/")
                make_image(root / place / f"{number:04}.png", seed=(class_name, number))
        return root

    return make
