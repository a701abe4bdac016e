"""Tar files and shards of small pictures, for many tests."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from PIL import Image


def write_tar(path: Path, members: dict[str, bytes], tar_format: int = tarfile.GNU_FORMAT) -> Path:
    """Write a tar file of plain files."""
    with tarfile.open(path, "w", format=tar_format) as packed:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


def png(number: int = 0) -> bytes:
    """Return a small picture as a file's content."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 2 * number % 256, 255 - number)).save(stream, "PNG")
    return stream.getvalue()


def sample(key: str, number: int, **facts: Any) -> dict[str, bytes]:
    """Return the two files of an image in a shard."""
    return {f"{key}.png": png(number), f"{key}.json": json.dumps(facts).encode()}


def write_shards(root: Path, names: list[str]) -> None:
    """Write shards of two images, one of each class."""
    for place, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        members = {f"{number}.png": png(10 * place + number) for number in range(2)}
        both = {**members, "0.cls": b"a", "1.cls": b"b"}
        write_tar(path, {key: both[key] for key in sorted(both)})
