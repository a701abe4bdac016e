"""Classifiers' files as a forger makes them: whatever they hold, every hash is right."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

COMMENT = b"imgclf sha256 "
MANIFEST = "manifest.json"

Members = dict[str, bytes]


def members_of(path: Path) -> Members:
    """Return the content of each member."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def seal(members: Members | list[tuple[str, bytes]]) -> bytes:
    """Pack members as they are, with the hash of all bytes in the comment."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
        archive.comment = COMMENT + b"0" * 64
    return reseal(file.getvalue())


def reseal(content: bytes) -> bytes:
    """Make the hash in the comment right again."""
    digest = hashlib.sha256(content[: -len(COMMENT) - 64]).hexdigest()
    return content[:-64] + digest.encode()


def forge(
    source: Path,
    target: Path,
    change: Callable[[dict[str, Any]], Any] = lambda _manifest: None,
    text: Callable[[bytes], bytes] = lambda text: text,
    **members: bytes | dict[str, np.ndarray],
) -> Path:
    """Write a bundle again with changed content and consistent hashes.

    Args:
        source: A sound bundle.
        target: The file.
        change: Changes the manifest.
        text: Changes its text, after the hashes are in it.
        **members: Other content of ``<name>.safetensors``, tensors or bytes; or of ``network``.

    Returns:
        `target`.
    """
    contents = members_of(source)
    manifest = json.loads(contents.pop(MANIFEST))
    for name, content in members.items():
        packed = content if isinstance(content, bytes) else safetensors.numpy.save(content)
        contents["network.tflite" if name == "network" else f"{name}.safetensors"] = packed
    change(manifest)
    manifest["members"] = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        for name, content in contents.items()
    }
    target.write_bytes(seal({MANIFEST: text(json.dumps(manifest).encode()), **contents}))
    return target
