"""How an opened image of any mode becomes upright, opaque, resized 8-bit pixels.

Every rule here changes what a network sees: a change raises `decoder.DECODER_VERSION`.
"""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING, Any, TypeAlias

from PIL import Image

from imgclf.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt
    from PIL import ImageFile

    from imgclf.data.pixels.input_policy import InputPolicy, ResizeMode

__all__ = ["draft", "image_of_array", "orientation_of", "to_target", "upright_size"]

_Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom in pixels


def to_target(
    image: Image.Image, policy: InputPolicy, orientation: int = 1, box: _Box | None = None
) -> Image.Image:
    """Flatten, resize, turn upright and pad an image; every source goes through here.

    Args:
        image: A loaded image of any mode, not empty; its `info` may be changed.
        policy: Target size, channels, resizing and background.
        orientation: EXIF orientation, 1 to 8, still to be applied.
        box: Box of the picture within `image` if it is not all of it; see `draft`.

    Returns:
        An image of the policy's size, of mode L for one channel and RGB for three.
    """
    flat = _flatten(image, policy)
    # Turning comes after resizing, when there is little left to turn.
    shown, size = _fit(
        box[2:] if box else flat.size, _stored_size(policy, orientation), policy.resize
    )
    is_of_size = flat.size == size and (box is None or box[2:] == size)
    small = flat
    if not is_of_size:
        small = flat.resize(size, Image.Resampling.BILINEAR, box=shown, reducing_gap=2.0)
    if orientation in _TURNS:
        small = small.transpose(_TURNS[orientation])
    return _pad(small, policy)


def draft(image: ImageFile.ImageFile, policy: InputPolicy, orientation: int) -> _Box | None:
    """Let libjpeg decode at 1/2, 1/4 or 1/8 scale, but at no less than twice the target size.

    Args:
        image: A JPEG, not yet loaded; it is configured in place.
        policy: Target size, channels and resizing.
        orientation: EXIF orientation, 1 to 8, of the file.

    Returns:
        The box of the whole picture in reduced pixels; its sides may be fractions.
    """
    target = _stored_size(policy, orientation)
    ratios = image.width / target[0], image.height / target[1]
    largest_reduction = (max(ratios) if policy.resize == "pad" else min(ratios)) / 2
    if policy.channels != 1 and largest_reduction < 2:
        return None  # Small files are many: asking libjpeg for nothing takes as long as reading.
    (left, top, right, bottom), (width, height) = _fit(image.size, target, policy.resize)
    # How large the *whole* image would be at twice the target's scale; 1e-6 is for rounding.
    wanted_width = math.ceil(2 * width * image.width / (right - left) - 1e-6)
    wanted_height = math.ceil(2 * height * image.height / (bottom - top) - 1e-6)
    drafted = image.draft("L" if policy.channels == 1 else None, (wanted_width, wanted_height))
    return drafted[1] if drafted else None


def image_of_array(array: npt.NDArray[Any]) -> Image.Image:
    """Make an 8-bit image of an array of pixels.

    Args:
        array: ``(height, width)`` or ``(height, width, 1, 3 or 4)``; bool, uint8, uint16 (0 to
            65535) or float (0 to 1). Four channels are red, green, blue and opacity.

    Returns:
        The image, of mode L, RGB or RGBA.

    Raises:
        ArgumentError: Shape, dtype or values are others.
    """
    is_accepted_shape = array.size > 0 and (
        array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    )
    if not is_accepted_shape or not _has_known_range(array):
        raise ArgumentError(
            f"An array of shape {array.shape} and dtype {array.dtype} is not accepted: give "
            "(height, width) or (height, width, 1, 3 or 4), of bool, uint8 (0 to 255), "
            "uint16 (0 to 65535) or float (0 to 1)."
        )
    values = array[..., 0] if array.shape[2:] == (1,) else array
    return Image.fromarray(values if values.dtype == "uint8" else _as_8_bit(values))


def _has_known_range(array: npt.NDArray[Any]) -> bool:
    """Tell whether dtype and values of an array define black and white."""
    if array.dtype.kind == "f":
        return bool(((array >= 0) & (array <= 1)).all())
    return array.dtype.kind == "b" or array.dtype in ("uint8", "uint16")


# --- Orientation -----------------------------------------------------------------------------

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = (5, 6, 7, 8)  # orientations that exchange width and height
_ORIENTATION_TAG = 0x0112
_INTEGER_TYPES = {1: "B", 3: "H", 4: "L"}  # TIFF's BYTE, SHORT and LONG
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return the (width, height) that an image has once its orientation is applied."""
    return (size[1], size[0]) if orientation in _LYING else size


def orientation_of(info: Mapping[Any, Any]) -> int:
    """Read the EXIF orientation, or else the one in XMP.

    Pillow's `getexif` reads *every* tag, which warns and can be made to fill the memory.

    Args:
        info: `Image.info` of Pillow.

    Returns:
        1 to 8; 1, upright, if there is none or the block is broken.
    """
    try:
        orientation = _orientation_in(_exif_block(info))
    except (struct.error, ValueError, TypeError):
        orientation = 0
    if orientation in range(1, 9):
        return orientation
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    match = _XMP_ORIENTATION.search(xmp.encode() if isinstance(xmp, str) else bytes(xmp))
    return int(match[1]) if match else 1


def _exif_block(info: Mapping[Any, Any]) -> bytes:
    """Find the EXIF block among what a Pillow plugin kept of the file."""
    if "exif" in info:
        return bytes(info["exif"])
    # ImageMagick's way in PNG files, older than the eXIf chunk: three lines, then hex digits.
    return bytes.fromhex("".join(str(info.get("Raw profile type exif", "")).split("\n")[3:]))


def _orientation_in(block: bytes) -> int:
    """Find the orientation among the tags of an EXIF block's first directory; 0 if it has none."""
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 0
    (start,) = struct.unpack_from(order + "L", block, 4)
    (count,) = struct.unpack_from(order + "H", block, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", block, at)
        if tag == _ORIENTATION_TAG and kind in _INTEGER_TYPES:
            return int(struct.unpack_from(order + _INTEGER_TYPES[kind], block, at + 8)[0])
    return 0


# --- Modes -----------------------------------------------------------------------------------

_MODE_OF_CHANNELS = {1: "L", 3: "RGB"}
_PLAIN = ("RGB", "L", "1")
_STRAIGHT_ALPHA = {"La": "LA", "RGBa": "RGBA"}
_WIDE = ("I", "F")  # first letters of the modes with more than 8 bits
_MAX_8_BIT, _MAX_16_BIT = 255, 65535


def _flatten(image: Image.Image, policy: InputPolicy) -> Image.Image:
    """Convert any mode to opaque 8-bit RGB, or to L for one channel."""
    if image.mode.startswith(_WIDE):
        image = _narrow(image)
    if image.has_transparency_data:
        image = _composite(image, policy.background)
    if image.mode not in _PLAIN:  # not every mode, LAB for one, converts to grey directly
        image = image.convert("RGB")
    mode = _MODE_OF_CHANNELS[policy.channels]
    return image if image.mode == mode else image.convert(mode)


def _narrow(image: Image.Image) -> Image.Image:
    """Convert 16-bit, 32-bit and float grey to 8 bits, with its transparent value if it has one."""
    import numpy as np

    values = np.asarray(image)
    grey = Image.fromarray(_as_8_bit(values))
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return grey
    return Image.merge("LA", (grey, Image.fromarray(_as_8_bit(values != key))))


def _as_8_bit(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Scale pixel values to 0..255 without clipping.

    uint16, and 32-bit integers that stay within 0..65535 (Pillow's mode ``I``): divided by 257.
    Floats within 0..1: times 255. Everything else has no known white, so that the smallest
    value becomes 0 and the largest 255; values that are not finite count as 0.
    """
    import numpy as np  # Here: few images need it, and workers start faster without.

    if values.dtype == np.bool_:
        return np.where(values, np.uint8(_MAX_8_BIT), np.uint8(0))
    is_float = values.dtype.kind == "f"
    if is_float:
        values = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > (1 if is_float else _MAX_16_BIT):
        values = (values.astype(np.float64) - low) / ((high - low) or 1.0)
    elif not is_float:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    scaled: npt.NDArray[np.uint8] = np.rint(values * _MAX_8_BIT).astype(np.uint8)
    return scaled


def _composite(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Lay an image with transparency, of whatever kind, on a colour."""
    key = image.info.get("transparency")
    if isinstance(key, tuple) and max(key) > _MAX_8_BIT:
        # 16-bit colour: Pillow keeps each channel's high byte, but the key in full.
        image.info["transparency"] = tuple(value >> 8 for value in key)
    image = image.convert(_STRAIGHT_ALPHA.get(image.mode, image.mode)).convert("RGBA")
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(image, mask=image)
    return canvas


# --- Geometry --------------------------------------------------------------------------------


def _stored_size(policy: InputPolicy, orientation: int) -> tuple[int, int]:
    """Return the target (width, height) along the axes in which the file stores its pixels."""
    height, width = policy.image_size
    return upright_size((width, height), orientation)


def _fit(
    size: tuple[float, float], target: tuple[int, int], resize: ResizeMode
) -> tuple[_Box, tuple[int, int]]:
    """Choose the part of the image that is shown, and the (width, height) it is resized to."""
    (width, height), (target_width, target_height) = size, target
    scales = target_width / width, target_height / height
    if resize == "crop":
        across = min(width, target_width / max(scales))
        down = min(height, target_height / max(scales))
        left, top = (width - across) / 2, (height - down) / 2
        return (left, top, left + across, top + down), target
    if resize == "pad":
        inside = round(width * min(scales)), round(height * min(scales))
        return (0.0, 0.0, width, height), (max(1, inside[0]), max(1, inside[1]))
    return (0.0, 0.0, width, height), target


def _pad(image: Image.Image, policy: InputPolicy) -> Image.Image:
    """Centre an upright image that is smaller than the target on the background."""
    height, width = policy.image_size
    if image.size == (width, height):
        return image
    canvas = Image.new("RGB", (width, height), policy.background).convert(image.mode)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas
