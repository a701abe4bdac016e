"""The image formats that imgclf accepts: told by their first bytes, opened by Pillow.

Only the formats of the allow-list ever reach a Pillow plugin, one plugin per file. Nothing is
decoded here; `imgclf.data.pixels.decoder` does that.
"""

from __future__ import annotations

import io
import logging
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from imgclf.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ACCEPTED_FORMATS", "canvas_size", "identify", "open_lazily", "quiet_pillow"]

ACCEPTED_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIC")
"""Formats that are decoded, by the names that `ImageFacts.format` gives them."""

# name -> alternatives; in an alternative every (offset, bytes) must match. Read top-down: the
# stricter signature stands above the looser one that it would also match.
_Signature = tuple[tuple[int, bytes], ...]
_SIGNATURES: dict[str, tuple[_Signature, ...]] = {
    "JPEG": (((0, b"\xff\xd8\xff"),),),
    "PNG": (((0, b"\x89PNG\r\n\x1a\n"),),),
    "GIF": (((0, b"GIF87a"),), ((0, b"GIF89a"),)),
    "WEBP": (((0, b"RIFF"), (8, b"WEBP")),),
    # "BM" alone also starts many a text: the header's size below 256 tells them apart.
    "BMP": (((0, b"BM"), (15, b"\0\0\0")),),
    "Canon raw photo": (((0, b"II*\0"), (8, b"CR")),),
    "TIFF": (((0, b"II*\0"),), ((0, b"MM\0*"),), ((0, b"II+\0"),), ((0, b"MM\0+"),)),
    "AVIF": (((4, b"ftypavif"),), ((4, b"ftypavis"),)),
    "HEIC": tuple(
        ((4, b"ftyp" + brand),)
        for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
    ),
    "icon (ICO)": (((0, b"\0\0\1\0"),),),
    "cursor (CUR)": (((0, b"\0\0\2\0"),),),
    "Photoshop file (PSD)": (((0, b"8BPS"),),),
    "Netpbm image (PPM, PGM, PBM)": tuple(
        ((0, b"P" + digit + space),)
        for digit in (b"%d" % n for n in range(1, 8))
        for space in (b"\n", b" ", b"\r", b"\t")
    ),
    "SVG drawing": (((0, b"<svg"),), ((0, b"<?xml"),)),
    "PDF document": (((0, b"%PDF"),),),
    "PostScript file (EPS)": (((0, b"%!PS"),), ((0, b"\xc5\xd0\xd3\xc6"),)),
    "JPEG 2000 image": (((4, b"jP  \r\n\x87\n"),), ((0, b"\xff\x4f\xff\x51"),)),
    "JPEG XL image": (((0, b"\xff\x0a"),), ((4, b"JXL \r\n\x87\n"),)),
    "DICOM file": (((128, b"DICM"),),),
    "OpenEXR image": (((0, b"\x76\x2f\x31\x01"),),),
    "Radiance HDR image": (((0, b"#?RADIANCE"),),),
    "DDS texture": (((0, b"DDS "),),),
    "Apple icon (ICNS)": (((0, b"icns"),),),
    "QOI image": (((0, b"qoif"),),),
    "SGI image": (((0, b"\x01\xda"),),),
    "PCX image": (((0, b"\x0a\x05\x01"),),),
    "FITS image": (((0, b"SIMPLE  ="),),),
    "GIMP file (XCF)": (((0, b"gimp xcf"),),),
    "Windows metafile": (((0, b"\xd7\xcd\xc6\x9a"),), ((0, b"\1\0\0\0"), (40, b" EMF"))),
    "video": (((4, b"ftyp"),), ((0, b"RIFF"), (8, b"AVI ")), ((0, b"\x1a\x45\xdf\xa3"),)),
}


def identify(content: bytes) -> str | None:
    """Tell what a file is by its first bytes; its name plays no part.

    Args:
        content: The file's content, or at least its first 256 bytes.

    Returns:
        One of `ACCEPTED_FORMATS`, the name of a format that is known but not accepted, or None.
    """
    for name, alternatives in _SIGNATURES.items():
        for signature in alternatives:
            if all(content.startswith(magic, offset) for offset, magic in signature):
                # The brands mif1 and msf1 serve both; the list of compatible brands decides.
                is_avif = name == "HEIC" and b"avif" in content[8:64]
                return "AVIF" if is_avif else name
    return None


def open_lazily(content: bytes) -> tuple[str, ImageFile.ImageFile]:
    """Read an image's header without decoding its pixels.

    Call it under `quiet_pillow`. ICC profiles and every frame or page but the first are ignored.

    Args:
        content: The whole file, not empty.

    Returns:
        The format, one of `ACCEPTED_FORMATS`, and the Pillow image, not yet loaded.

    Raises:
        ImageError: `content` is no image, or of a format that is not accepted.
        Exception: Whatever Pillow raises on a damaged header.
    """
    name = identify(content)
    if name is None:
        raise ImageError("not_an_image", f"it starts with {content[:12]!r}")
    if name not in ACCEPTED_FORMATS:
        raise ImageError("format_not_accepted", f"it is a {name}")
    stream = io.BytesIO(content)
    if name == "AVIF" and not features.check("avif"):
        raise ImageError("format_not_accepted", "this build of Pillow cannot read AVIF")
    if name == "TIFF" and _tag_bytes(content) > len(content):
        raise ImageError("corrupt", "its tags claim more bytes than the file holds")
    return name, _PLUGINS[name](stream, "")


_WEBP_HEADER_BYTES = 30


def canvas_size(content: bytes) -> tuple[int, int] | None:
    """Read ``(width, height)`` of a WebP from its header; None for every other format.

    WebP is the one format whose canvas Pillow allocates as soon as the file is opened.
    """
    if not content.startswith(b"RIFF") or identify(content) != "WEBP":
        return None
    if len(content) < _WEBP_HEADER_BYTES:
        return None
    kind, body = content[12:16], content[20:30]
    if kind == b"VP8X":
        return (int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1)
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"VP8 ":
        sides = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
        return sides[0] & 0x3FFF, sides[1] & 0x3FFF
    return None


class _PlainJpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG, read as its first picture only.

    A phone's MPO (a JPEG with further pictures behind the first) is thus a JPEG, and opening does
    not parse all of a photo's EXIF block, which is slow, warns on many real photos and can be
    made to fill the memory.
    """

    def _read_dpi_from_exif(self) -> None:
        """Skip it: nobody here wants the resolution."""


def _open_heic(stream: io.BytesIO, filename: str) -> ImageFile.ImageFile:
    """Open a HEIC file through the optional pillow-heif, without registering it in Pillow."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise ImageError("heic_support_missing", "") from error
    image: ImageFile.ImageFile = HeifImageFile(stream, filename)
    return image


# The plugins themselves rather than `Image.open`: one table, no search through whatever plugins
# other libraries have registered, and no size check that warns.
_PLUGINS: dict[str, Callable[[io.BytesIO, str], ImageFile.ImageFile]] = {
    "JPEG": _PlainJpeg,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "HEIC": _open_heic,
}


# --- TIFF tags -------------------------------------------------------------------------------
# A tag points at its data, so 65,535 tags can all point at the same 60 MB, and Pillow would copy
# each of them: a small file takes terabytes. In honest files the data do not overlap.

_TAG_TYPE_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
_SUB_DIRECTORY_TAGS = (34665, 34853, 40965)  # EXIF, GPS, interoperability: Pillow reads these too


def _tag_bytes(content: bytes) -> float:
    """Sum the bytes that the tags of a TIFF's first page point at, sub-directories included."""
    import numpy as np  # Here: most files are no TIFF, and workers start faster without.

    type_bytes = np.array(_TAG_TYPE_BYTES, np.float64)
    byteorder: Literal["little", "big"] = "little" if content[:2] == b"II" else "big"
    order = "<" if byteorder == "little" else ">"
    is_big = content[2:4] in (b"+\0", b"\0+")
    offset_at, word, head = (8, 8, 8) if is_big else (4, 4, 2)
    fields = [("tag", "u2"), ("type", "u2"), ("count", f"u{word}"), ("value", f"u{word}")]
    entry = np.dtype([(name, order + kind) for name, kind in fields])

    total = 0.0
    waiting = [int.from_bytes(content[offset_at : offset_at + word], byteorder)]
    seen: set[int] = set()
    while waiting:
        start = waiting.pop()
        room = (len(content) - start - head) // entry.itemsize
        if start in seen or room <= 0 or len(seen) > len(_SUB_DIRECTORY_TAGS):
            continue
        seen.add(start)
        count = min(int.from_bytes(content[start : start + head], byteorder), room)
        tags = np.frombuffer(content, entry, count, start + head)
        sizes = tags["count"] * type_bytes[np.minimum(tags["type"], 18) % 19]
        total += float(sizes[(sizes > word) & (sizes <= len(content))].sum())
        is_pointer = np.isin(tags["tag"], _SUB_DIRECTORY_TAGS)
        waiting += [int(value) for value in tags["value"][is_pointer][:8]]
    return total


# --- Pillow's chatter ------------------------------------------------------------------------
# Pillow warns about odd tags, large images and more. `warnings.catch_warnings` swaps the filters
# of the whole process and is not thread-safe before Python 3.14, and decoding runs in threads. So
# one filter stays in the list, and matches only in a thread that is decoding at that moment.


class _WhileDecoding(threading.local):
    """Stands in for a filter's regular expression; matches while this thread decodes."""

    active = False

    def match(self, _text: str) -> bool:
        """Say whether the warning is ours to ignore; `warnings` calls this."""
        return self.active

    def filter(self, _record: logging.LogRecord) -> bool:
        """Say whether a log record of Pillow's may pass; `logging` calls this."""
        return not self.active


_WHILE_DECODING = _WhileDecoding()
_IGNORE_WHILE_DECODING = ("ignore", _WHILE_DECODING, Warning, None, 0)
logging.getLogger("PIL.TiffImagePlugin").addFilter(_WHILE_DECODING)


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings and log records from the user, in this thread only."""
    filters: list[object] = warnings.filters  # type: ignore[assignment]
    # Whoever called `simplefilter` or entered `catch_warnings` since put other filters in front.
    if not filters or filters[0] is not _IGNORE_WHILE_DECODING:
        filters.insert(0, _IGNORE_WHILE_DECODING)
    was_active, _WHILE_DECODING.active = _WHILE_DECODING.active, True
    try:
        yield
    finally:
        _WHILE_DECODING.active = was_active
