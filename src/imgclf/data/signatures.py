"""Tiny versions of images, by which copies of one picture are recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SIGNATURE_BYTES", "SIGNATURE_SIDE", "sign"]

SIGNATURE_SIDE = 16
"""Side of the tiny version in pixels: coarse enough to forget how an image was encoded."""

SIGNATURE_BYTES = SIGNATURE_SIDE * SIGNATURE_SIDE * 3


def sign(pixels: NDArray[np.uint8]) -> bytes:
    """Shrink decoded pixels to a signature.

    Args:
        pixels: ``(height, width, channels)``, uint8; 1 or 3 channels.

    Returns:
        The bytes of ``(16, 16, 3)``, uint8: the mean colour of each of 256 areas.
    """
    image = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0])
    tiny = image.resize((SIGNATURE_SIDE, SIGNATURE_SIDE), Image.Resampling.BOX)
    return tiny.convert("RGB").tobytes()
