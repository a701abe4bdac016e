"""Tiny versions of images, by which copies of one picture are recognised."""

from __future__ import annotations

from PIL import Image

__all__ = ["SIGNATURE_BYTES", "SIGNATURE_SIDE", "sign"]

SIGNATURE_SIDE = 16
"""Side of the tiny version in pixels: coarse enough to forget how an image was encoded."""

SIGNATURE_BYTES = SIGNATURE_SIDE * SIGNATURE_SIDE * 3


def sign(image: Image.Image) -> bytes:
    """Shrink a decoded image to a signature.

    Args:
        image: As the decoder gives it, of mode L or RGB.

    Returns:
        The bytes of ``(16, 16, 3)``, uint8: the mean colour of each of 256 areas.
    """
    if image.width % SIGNATURE_SIDE or image.height % SIGNATURE_SIDE:
        tiny = image.resize((SIGNATURE_SIDE, SIGNATURE_SIDE), Image.Resampling.BOX)
    else:  # The same in half the time, which counts for small files.
        tiny = image.reduce((image.width // SIGNATURE_SIDE, image.height // SIGNATURE_SIDE))
    return (tiny if tiny.mode == "RGB" else tiny.convert("RGB")).tobytes()
