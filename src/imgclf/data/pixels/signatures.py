"""Signatures: tiny versions of images, by which copies are recognised."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from imgclf.data.pixels.input_policy import InputPolicy

__all__ = ["SIGNATURE_BYTES", "SIGNATURE_SIDE", "can_sign_rows", "sign", "sign_rows"]

SIGNATURE_SIDE = 16
"""Side of the tiny version in pixels: coarse enough to forget how an image was encoded."""

SIGNATURE_BYTES = SIGNATURE_SIDE * SIGNATURE_SIDE * 3

SHEET_BYTES = 2**20
"""Stored pixels that are signed together, unless a single image has more."""


def sign(image: Image.Image) -> bytes:
    """Shrink a decoded image to a signature.

    Args:
        image: As the decoder gives it, of mode L or RGB.

    Returns:
        The bytes of ``(16, 16, 3)``, uint8: the mean colour of each of 256 areas.
    """
    if image.width % SIGNATURE_SIDE or image.height % SIGNATURE_SIDE:
        return _bytes_of(image.resize((SIGNATURE_SIDE, SIGNATURE_SIDE), Image.Resampling.BOX))
    # The same in half the time, which counts for small files.
    return _bytes_of(image.reduce((image.width // SIGNATURE_SIDE, image.height // SIGNATURE_SIDE)))


def can_sign_rows(policy: InputPolicy) -> bool:
    """Tell whether the areas are whole pixels, so that `sign_rows` equals `sign`."""
    return not any(side % SIGNATURE_SIDE for side in policy.image_size)


def sign_rows(pixel_file: str, signature_file: str, rows: range, policy: InputPolicy) -> None:
    """Write the signatures of images whose pixels are stored in a file.

    Signed together, as one tall image, they cost a tenth of single calls of `sign`.

    Args:
        pixel_file: A file of ``height * width * channels`` bytes an image.
        signature_file: An existing file of `SIGNATURE_BYTES` an image.
        rows: Which images, one after the other.
        policy: What the images were turned into; see `can_sign_rows`.

    Raises:
        OSError: The disk is full.
    """
    height, width = policy.image_size
    mode = "L" if policy.channels == 1 else "RGB"
    image_bytes = height * width * policy.channels
    area = width // SIGNATURE_SIDE, height // SIGNATURE_SIDE
    at_a_time = max(1, SHEET_BYTES // image_bytes)
    with Path(pixel_file).open("rb") as pixels, Path(signature_file).open("r+b") as signatures:
        pixels.seek(rows.start * image_bytes)
        signatures.seek(rows.start * SIGNATURE_BYTES)
        for first in range(rows.start, rows.stop, at_a_time):
            count = min(at_a_time, rows.stop - first)
            content = pixels.read(count * image_bytes)
            sheet = Image.frombytes(mode, (width, height * count), content)
            signatures.write(_bytes_of(sheet.reduce(area)))


def _bytes_of(tiny: Image.Image) -> bytes:
    return (tiny if tiny.mode == "RGB" else tiny.convert("RGB")).tobytes()
