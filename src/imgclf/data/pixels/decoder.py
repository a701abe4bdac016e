"""The one decoder: any picture, from any source, becomes the pixels that a network reads.

Scan, training, evaluation and prediction all call `decode`. `DECODER_VERSION` fixes what it does
to the pixels:

- The first frame or page counts; a phone's MPO is a JPEG.
- EXIF orientation is applied; a broken EXIF block is ignored.
- Transparency is composited on `InputPolicy.background`. ICC profiles are ignored.
- 16-bit grey is divided by 257, never clipped; see `conversion` for 32-bit and float images.
- Pixels are resized by antialiased bilinear interpolation. It is Pillow's fastest filter with
  antialiasing and does not overshoot at edges as bicubic does. Images of more than twice the
  target are first averaged by a whole factor down to no less than twice the target; a JPEG is
  decoded at such a reduced scale right away, which is what makes large photos fast.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from PIL import Image, ImageFile

from imgclf.data.pixels.conversion import (
    draft,
    image_of_array,
    orientation_of,
    to_target,
    upright_size,
)
from imgclf.data.pixels.formats import (
    ACCEPTED_FORMATS,
    canvas_size,
    identify,
    open_lazily,
    quiet_pillow,
)
from imgclf.data.reading.archives import find_archive, read_member
from imgclf.data.reading.tar_files import read_span
from imgclf.errors import ArgumentError, ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from imgclf.data.pixels.input_policy import InputPolicy
    from imgclf.data.reading.members import Span

__all__ = [
    "DECODER_VERSION",
    "REASONS",
    "DecodedImage",
    "DecodingLimits",
    "ImageFacts",
    "Source",
    "decode",
    "decode_with_facts",
    "read_content",
]

DECODER_VERSION: int = 1
"""Raised with any change of pixels; part of the pixel store's key."""

Content: TypeAlias = bytes | bytearray | memoryview | IO[bytes]
"""A file's content, or an open binary file."""

# One text without a break: type checkers read no other.
Source: TypeAlias = "str | os.PathLike[str] | Content | Image.Image | npt.NDArray[Any]"
"""A path, a file's *content* as bytes, an open binary file, a Pillow image, or pixels."""

REASONS: dict[str, str] = {
    "not_found": "there is no such file; check the path.",
    "not_a_file": "this is a folder, pipe, socket or device; give a regular file.",
    "unreadable": "the file cannot be read; check its permissions and the disk.",
    "empty_file": "the file is empty; copy or download it again.",
    "not_an_image": "this is not an image, whatever its name says; open it to see what it is.",
    "format_not_accepted": "this format is not accepted; save it as PNG or JPEG.",
    "heic_support_missing": "HEIC photos need one more package; run pip install 'imgclf[heic]'.",
    "too_many_bytes": "the file is larger than the limit; save a smaller copy.",
    "too_many_pixels": "the image has more pixels than the limit; save a smaller copy.",
    "truncated": "the file is cut off before its end; copy or download it again.",
    "corrupt": "the file is damaged; open it in an image editor and save it again.",
    "encrypted": "it is encrypted in its ZIP file; unpack that and give the folder.",
    "compression_not_accepted": "its ZIP file is packed in a rare way; unpack it, give the folder.",
    "out_of_memory": "there was not enough memory to decode this image; save a smaller copy.",
    "time_out": "decoding took too long; save the image again in an image editor.",
    "worker_died": "the decoding process died on this image; save it again in an image editor.",
}
"""Reason codes of `ImageError`: what happened to the file and what to do about it.

The codes are stable. ``time_out`` and ``worker_died`` are given by the folder scan alone.
"""


@dataclass(frozen=True, slots=True)
class DecodingLimits:
    """Sizes beyond which an image is refused before it is decoded.

    Attributes:
        max_pixels: Width times height, as the file's header states them.
        max_bytes: Size of the file in bytes.
    """

    max_pixels: int = 50_000_000
    max_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Format, size and orientation of an image file.

    Attributes:
        format: One of `ACCEPTED_FORMATS`, or ``"pixels"`` for arrays and loaded Pillow images.
        mode: Pillow's name of the stored pixel format, such as ``"RGB"``, ``"P"`` or ``"I;16"``.
        width: Width in pixels of the upright image.
        height: Height in pixels of the upright image.
        orientation: EXIF orientation, 1 (upright) to 8.
        has_alpha: True if the image can have transparent pixels.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int
    has_alpha: bool


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """An image as the network reads it, and the facts of the original.

    Attributes:
        image: Of the target's size; mode L for one channel, RGB for three.
        facts: The image before it was resized.
    """

    image: Image.Image
    facts: ImageFacts

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The image as an array of its own, ``(height, width, channels)``, 0 to 255."""
        import numpy as np

        shape = self.image.height, self.image.width, len(self.image.getbands())
        return np.array(self.image, np.uint8).reshape(shape)


_DEFAULT_LIMITS = DecodingLimits()


def decode(
    source: Source, policy: InputPolicy, limits: DecodingLimits = _DEFAULT_LIMITS
) -> npt.NDArray[np.uint8]:
    """Decode any image into the pixels that a network reads.

    The same file gives the same pixels as a path, as bytes, as an open file or ZIP member and as
    a Pillow image that is not loaded yet. A pure function, safe to call from many threads; it
    leaves the caller's file position and Pillow image as they were.

    Args:
        source: A path, which may lead into an archive (``photos.zip/cat/1.jpg``); the content of
            a file as bytes; an open binary file, read from its beginning; a Pillow image; or
            pixels: an array ``(height, width)`` or ``(height, width, 1, 3 or 4)``, of bool, uint8,
            uint16 (0 to 65535) or float (0 to 1).
        policy: Target size, channels, resizing and background.
        limits: Caps on the file's size and on its pixels, checked before decoding. They do not
            apply to pixels that are already decoded.

    Returns:
        uint8 array of shape `policy.pixel_shape`, ``(height, width, channels)``, 0 to 255.

    Raises:
        ImageError: The image cannot be decoded; its `reason` is a key of `REASONS`.
        ArgumentError: `source` is of no accepted type, shape or dtype.

    Example:
        >>> import numpy as np
        >>> decode(np.zeros((20, 30), np.uint8), InputPolicy((8, 8))).shape
        (8, 8, 3)
    """
    return decode_with_facts(source, policy, limits).pixels


def decode_with_facts(
    source: Source, policy: InputPolicy, limits: DecodingLimits = _DEFAULT_LIMITS
) -> DecodedImage:
    """Decode as `decode` does, and also return format, mode and size of the original.

    Args:
        source: As in `decode`.
        policy: As in `decode`.
        limits: As in `decode`.

    Returns:
        The image at the target's size, and the facts of the original.

    Raises:
        ImageError: As in `decode`.
        ArgumentError: As in `decode`.
    """
    with _only_image_errors(source), quiet_pillow():
        if isinstance(source, Image.Image) and not _is_unread_file(source):
            return _decode_pixels(source.copy(), _orientation_in_memory(source), policy)
        if hasattr(source, "dtype"):  # Workers never get here, and start faster without NumPy.
            import numpy as np

            if isinstance(source, np.ndarray):
                return _decode_pixels(image_of_array(source), 1, policy)
        return _decode_content(_content_of(source, limits), policy, limits)


def read_content(
    path: str | os.PathLike[str],
    limits: DecodingLimits = _DEFAULT_LIMITS,
    span: Span | None = None,
) -> bytes:
    """Read an image file whole, without blocking on pipes or swallowing huge files.

    Use it where the content is also hashed; `decode` takes the bytes.

    Args:
        path: Path of the file, of any encoding that `os.fspath` returns.
        limits: Only `max_bytes` counts.
        span: Where it lies in its tar file, if that is known; otherwise it is looked for.

    Returns:
        The content; it may be empty.

    Raises:
        ImageError: ``not_found``, ``not_a_file``, ``unreadable`` or ``too_many_bytes``.
    """
    with _only_image_errors(path):
        if span is not None:
            archive = _archive_above(os.path.dirname(path))  # noqa: PTH120 - as below
            return read_span(archive, span, limits.max_bytes)
        return _content_of_path(path, limits)


@lru_cache(maxsize=64)
def _archive_above(folder: str) -> str:
    """Find the archive that a folder lies in: that of one image is that of the next."""
    place = find_archive(folder)
    if place is None:
        raise ImageError("not_found", "")
    return os.fspath(place.archive)


# --- Sources ---------------------------------------------------------------------------------


def _content_of(source: object, limits: DecodingLimits) -> bytes:
    """Read all of a source that is a file in some shape."""
    if isinstance(source, bytes | bytearray | memoryview):
        return _within(limits, bytes(source))
    if isinstance(source, str | os.PathLike):
        return _content_of_path(source, limits)
    if isinstance(source, ImageFile.ImageFile):
        source = source.fp
    if hasattr(source, "read"):
        return _content_of_stream(source, limits)
    raise ArgumentError(
        f"An image of type {type(source).__name__} is not accepted: give a path, bytes, an open "
        "binary file, a Pillow image or a NumPy array."
    )


def _content_of_path(path: str | os.PathLike[str], limits: DecodingLimits) -> bytes:
    """Read a regular file; `stat` comes first because merely opening a pipe blocks."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path costs as much as the file
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not_a_file", "")
        if status.st_size > limits.max_bytes:
            raise ImageError("too_many_bytes", f"{status.st_size:,} > {limits.max_bytes:,} bytes")
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
            # Not max_bytes at once: Python would set aside as much memory for each file.
            content = stream.read(status.st_size + 1)
            while len(content) < status.st_size and (more := stream.read(status.st_size)):
                content += more  # Some network disks give less than they are asked for.
            if len(content) > status.st_size:  # It has grown since.
                content += stream.read(limits.max_bytes + 1 - len(content))
            return _within(limits, content)
    except (FileNotFoundError, NotADirectoryError):
        return read_member(path, limits.max_bytes)
    except OSError as error:
        raise ImageError("unreadable", error.strerror or "") from error
    except ValueError as error:  # a null character in the path
        raise error if isinstance(error, ImageError) else ImageError("not_found", "") from error


def _content_of_stream(stream: Any, limits: DecodingLimits) -> bytes:
    """Read an open file from its beginning, as Pillow does, and put its position back."""
    try:
        position = stream.tell() if stream.seekable() else None
        if position is not None:
            stream.seek(0)
        content = stream.read(limits.max_bytes + 1)
        if position is not None:
            stream.seek(position)
    except Exception as error:  # a stream can be anything: a bad ZIP member, a broken socket
        raise ImageError("unreadable", f"{type(error).__name__}: {error}") from error
    if not isinstance(content, bytes):
        raise ArgumentError("A file opened as text is not accepted: open it with mode 'rb'.")
    return _within(limits, content)


def _within(limits: DecodingLimits, content: bytes) -> bytes:
    """Return the content, or refuse it for its size."""
    if len(content) > limits.max_bytes:
        raise ImageError("too_many_bytes", f"more than {limits.max_bytes:,} bytes")
    return content


def _is_unread_file(image: Image.Image) -> bool:
    """Tell a lazily opened file, which is read again from its start, from pixels in memory."""
    return (
        isinstance(image, ImageFile.ImageFile)
        and getattr(image, "_im", None) is None  # Pillow has no public word for "not loaded"
        and image.fp is not None
        and image.tell() == 0  # a caller who went to another frame wants that one
        and {"MPO": "JPEG", "HEIF": "HEIC"}.get(str(image.format), image.format) in ACCEPTED_FORMATS
    )


# --- Decoding --------------------------------------------------------------------------------

_ORIENTATION_TAG = 0x0112
_TURNED_BY_PILLOW = ("TIFF", "HEIC")  # the plugins for these apply the orientation themselves


def _decode_content(content: bytes, policy: InputPolicy, limits: DecodingLimits) -> DecodedImage:
    """Decode a file's content, each cap before the step that it protects."""
    if not content:
        raise ImageError("empty_file", "")
    _check_pixels(canvas_size(content), limits)
    if _is_cut_webp(content):
        raise ImageError("truncated", "")
    file_format, image = open_lazily(content)
    _check_pixels(image.size, limits)
    size, mode, has_alpha = image.size, image.mode, image.has_transparency_data
    if file_format in _TURNED_BY_PILLOW:
        stated, box, to_apply = _tag_orientation(image), None, 1
        image.load()
    elif file_format == "JPEG":
        stated = to_apply = orientation_of(image.info)
        box = draft(image, policy, to_apply)
        try:
            image.load()
        except OSError:
            image = _load_without_end(content, policy, to_apply)
    else:
        box = None
        image.load()  # before the next line: a PNG may state its orientation behind its pixels
        stated = to_apply = orientation_of(image.info)
    facts = ImageFacts(file_format, mode, *upright_size(size, to_apply), stated, has_alpha)
    return DecodedImage(to_target(image, policy, to_apply, box), facts)


_JPEG_END = b"\xff\xd9"

_NO_PIXELS = (b"\xaa" * 64, b"\x55" * 64, b"\xfe" * 64)
"""Bytes that would change the picture if its decoder had not had all of it before them."""


def _load_without_end(content: bytes, policy: InputPolicy, orientation: int) -> ImageFile.ImageFile:
    """Load a JPEG that lacks no more than the mark of its end, as some cameras and tools write it.

    What follows the last pixel's bytes is skipped; where any of those are missing, it is taken for
    them, and the pictures differ.
    """
    whole = None
    for filler in (b"", *_NO_PIXELS):
        _, image = open_lazily(content.rstrip(b"\xff") + filler + _JPEG_END)
        draft(image, policy, orientation)
        image.load()
        if whole is None:
            whole = image
        elif image.tobytes() != whole.tobytes():
            raise ImageError("truncated", "")
    assert whole is not None, "the first of them has no filler"
    return whole


def _decode_pixels(image: Image.Image, orientation: int, policy: InputPolicy) -> DecodedImage:
    """Convert an image in memory, which may be changed, to the policy."""
    if 0 in image.size:
        raise ArgumentError(f"An image of {image.width} x {image.height} pixels has no pixels.")
    size = upright_size(image.size, orientation)
    facts = ImageFacts("pixels", image.mode, *size, orientation, image.has_transparency_data)
    return DecodedImage(to_target(image, policy, orientation), facts)


def _check_pixels(size: tuple[int, int] | None, limits: DecodingLimits) -> None:
    """Refuse an image by the size that its header states."""
    if size and size[0] * size[1] > limits.max_pixels:
        raise ImageError("too_many_pixels", f"{size[0]} x {size[1]} > {limits.max_pixels:,}")


def _is_cut_webp(content: bytes) -> bool:
    """Tell a truncated WebP by its stated length; libwebp would just call it corrupt."""
    if not content.startswith(b"RIFF"):
        return False
    stated = 8 + int.from_bytes(content[4:8], "little")
    return identify(content) == "WEBP" and len(content) < stated


def _tag_orientation(image: Image.Image) -> int:
    """Read the orientation that the plugin for TIFF or HEIC is going to apply."""
    tag = getattr(image, "tag_v2", {}).get(_ORIENTATION_TAG)
    value: Any = tag or image.info.get("original_orientation")
    return int(value) if value in range(1, 9) else 1


def _orientation_in_memory(image: Image.Image) -> int:
    """Read the orientation of a loaded image, also one that the caller has set."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 Pillow raises nearly anything on a broken EXIF block
        return 1
    return int(value) if value in range(1, 9) else 1


# --- Errors ----------------------------------------------------------------------------------


@contextmanager
def _only_image_errors(source: object) -> Iterator[None]:
    """Name the image in an `ImageError`, and turn whatever Pillow raises into one."""
    try:
        yield
    except ArgumentError:
        raise
    except ImageError as error:
        raise ImageError(error.reason, _message(source, error.reason, str(error))) from error
    except Exception as error:  # beside OSError also SyntaxError, struct.error, KeyError, ...
        reason = _reason_of(error)
        detail = f"{type(error).__name__}: {error}"
        raise ImageError(reason, _message(source, reason, detail)) from error


_CUT_OFF = ("truncated", "Truncated", "outside of file bounds")  # Pillow, libavif, libheif


def _reason_of(error: Exception) -> str:
    """Choose the reason code for an exception of Pillow's."""
    if isinstance(error, MemoryError):
        return "out_of_memory"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "too_many_pixels"
    if isinstance(error, EOFError) or any(words in str(error) for words in _CUT_OFF):
        return "truncated"
    return "corrupt"


def _message(source: object, reason: str, detail: str) -> str:
    """Write one line: which image, what is wrong with it and what to do, the detail."""
    name = "Image"
    if isinstance(source, str | os.PathLike):
        # A name that is not UTF-8 must not turn into an error while it is printed.
        name = repr(os.fsencode(source).decode("utf-8", "backslashreplace"))
    line = f"{name}: {REASONS[reason]}" + (f" ({detail})" if detail else "")
    return " ".join(line.split())
