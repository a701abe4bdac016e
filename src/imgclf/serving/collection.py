"""A folder of images with the classes that people gave them, for the next training."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgclf.atomic import make_folder, move_atomically, sync_folder, write_atomically
from imgclf.data.pixels.decoder import decode_with_facts
from imgclf.data.reading.class_names import look_of
from imgclf.data.reading.image_folder import SPLIT_FOLDERS
from imgclf.data.reading.layout import read_folder
from imgclf.data.reading.walk import SYSTEM_NAMES
from imgclf.errors import ArgumentError, WriteError
from imgclf.machine.plain_text import is_plain_text, printable

if TYPE_CHECKING:
    from imgclf.data.pixels.decoder import DecodingLimits
    from imgclf.data.pixels.input_policy import InputPolicy

__all__ = ["Collection", "KeptImage"]

ENDINGS = {
    "JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif",
    "TIFF": ".tiff", "AVIF": ".avif", "HEIC": ".heic",
}  # fmt: skip
"""How the files are called, by their format; nothing of a sender's file name is used."""

NAME_DIGITS = 32
"""Hexadecimal digits of the content's sha256 that a file is named by."""

MOST_NAME_BYTES = 200
"""Length of a class's name: file systems take 255 bytes."""

LEAST_FREE_BYTES = 500_000_000
"""Room that is left on the disk: whoever may send images must not be able to fill it."""


@dataclass(frozen=True, slots=True)
class KeptImage:
    """What became of an image.

    Attributes:
        path: Where it lies in the collection, ``CLASS/NAME``.
        is_new: Whether it was not there before, in whatever class.
        moved_from: The class that it was kept as before; None where that was the same, or none.
    """

    path: str
    is_new: bool
    moved_from: str | None = None


class Collection:
    """Keeps images as ``DIR/CLASS/NAME``, a folder that `imgclf train` understands.

    A file is named by the hash of its content, so that an image is kept once: who gives it another
    class moves it there. No other file is touched, and none is written over.

    Args:
        folder: The folder; it is made where it is missing.

    Raises:
        ArgumentError: It holds split folders, beside which no class would be read.
        DataError: It holds split folders without ``train/``, or cannot be read.
        WriteError: It cannot be made, or is no folder.

    Example:
        >>> collection = Collection(Path("collected"))                       # doctest: +SKIP
        >>> collection.keep(content, "cat", clf.class_names, clf.policy)     # doctest: +SKIP
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.folder = folder
        self._lock = threading.Lock()
        if read_folder(folder, min_classes=0).layout == "splits":
            raise ArgumentError(
                f"{folder} has train/, beside which no class folder is read: give another folder, "
                f"or {folder / 'train'}."
            )

    def class_names(self) -> list[str]:
        """Return the names of the class folders that are there, sorted."""
        return sorted(entry.name for entry in self.folder.iterdir() if _is_class_folder(entry))

    def keep(
        self,
        content: bytes,
        label: str,
        known: Sequence[str],
        policy: InputPolicy,
        limits: DecodingLimits | None = None,
    ) -> KeptImage:
        """Keep an image as one of a class.

        Args:
            content: The image's file.
            label: Its class: a known one, or a new one whose name can be a folder's.
            known: The classifier's classes.
            policy: The classifier's input policy: only what it can read is kept.
            limits: Sizes beyond which an image is refused; None takes the decoder's.

        Returns:
            Where it lies.

        Raises:
            ArgumentError: The class's name cannot be a folder's, or looks like another one's.
            ImageError: The image cannot be decoded.
            WriteError: It cannot be written, or the disk is nearly full.
        """
        self._require_class(label, known)
        given = () if limits is None else (limits,)
        file_format = decode_with_facts(content, policy, *given).facts.format
        name = hashlib.sha256(content).hexdigest()[:NAME_DIGITS] + ENDINGS[file_format]
        with self._lock:
            return self._place(content, label, name)

    def _place(self, content: bytes, label: str, name: str) -> KeptImage:
        target = self.folder / label / name
        path = f"{label}/{name}"
        if target.exists():
            return KeptImage(path, is_new=False)
        others = [other for other in self.class_names() if (self.folder / other / name).is_file()]
        if not others:
            self._require_room(len(content))
        make_folder(target.parent)
        if others:
            source = self.folder / others[0] / name
            move_atomically(source, target)
            sync_folder(source.parent)
            return KeptImage(path, is_new=False, moved_from=others[0])
        write_atomically(target, content)
        return KeptImage(path, is_new=True)

    def _require_room(self, num_bytes: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < LEAST_FREE_BYTES + num_bytes:
            raise WriteError(
                f"The image was not kept: the disk has {free / 1e6:,.0f} MB left, and "
                f"{LEAST_FREE_BYTES / 1e6:,.0f} MB must stay free. Free some space there."
            )

    def _require_class(self, label: str, known: Sequence[str]) -> None:
        fault = _fault_of_folder_name(label)
        shown = repr(printable(label[:MOST_NAME_BYTES], is_name=True))
        if fault is not None:
            raise ArgumentError(f"The class {shown} cannot be a folder: it {fault}.")
        if label in known:
            return
        if label.lower() in SPLIT_FOLDERS:
            raise ArgumentError(
                f"The class {shown} would be taken for a split of the data: give another name."
            )
        twin = _twin_of(label, [*known, *self.class_names()])
        if twin is not None:
            raise ArgumentError(f"The class {shown} looks like {twin!r}: give that, or another.")


def _is_class_folder(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith(".") and entry.name not in SYSTEM_NAMES


def _fault_of_folder_name(name: str) -> str | None:
    """Say why a name can be no class folder's; None where it can."""
    checks = (
        (name.strip() == "", "is empty"),
        (name != name.strip(), "begins or ends with a blank"),
        (not is_plain_text(name), "has control characters, line breaks or no text"),
        ("/" in name or "\\" in name, "has a slash"),
        (name.startswith("."), "begins with a dot, as hidden files do"),
        (name in SYSTEM_NAMES, "is a name that operating systems use"),
        (len(name.encode(errors="replace")) > MOST_NAME_BYTES, "is too long"),
    )
    return next((fault for applies, fault in checks if applies), None)


def _twin_of(label: str, names: Iterable[str]) -> str | None:
    """Return another name that a person takes for the same one."""
    look = look_of(label)
    return next((name for name in names if name != label and look_of(name) == look), None)
