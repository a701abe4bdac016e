"""Variants of images, mirrored or shifted, whose features are further rows for a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MIRRORED", "PLAIN", "Variant", "shifted_variants"]

SHIFT_SHARE = 1 / 16
"""Shift of `shifted_variants` as a share of the side: 14 pixels of 224."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One deterministic change, the same for every image.

    Attributes:
        mirrored: Whether left and right are exchanged.
        shift: Pixels by which an image is moved, ``(down, right)``; negative ones move it up and
            to the left. Its edge is repeated where it leaves a gap.

    Example:
        >>> Variant(shift=(0, 1)).apply(np.array([[[[1], [2], [3]]]], np.uint8)).ravel().tolist()
        [1, 1, 2]
    """

    mirrored: bool = False
    shift: tuple[int, int] = (0, 0)

    def apply(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the changed images.

        Args:
            images: uint8 ``(batch, height, width, channels)``; mirrored first, then shifted.

        Returns:
            The same type and shape.
        """
        if self.mirrored:
            images = images[:, :, ::-1]
        if self.shift == (0, 0):
            return images
        height, width = images.shape[1:3]
        down, right = self.shift
        rows = np.clip(np.arange(height) - down, 0, height - 1)
        columns = np.clip(np.arange(width) - right, 0, width - 1)
        return images[:, rows[:, None], columns]


PLAIN = Variant()
MIRRORED = Variant(mirrored=True)


def shifted_variants(image_size: tuple[int, int]) -> tuple[Variant, ...]:
    """Return four variants, shifted to the four corners, two of them mirrored.

    Args:
        image_size: ``(height, width)`` in pixels.

    Returns:
        The variants; beside `PLAIN` and `MIRRORED` they are what the recipe ``best`` learns from.
    """
    down, right = (max(1, round(side * SHIFT_SHARE)) for side in image_size)
    return (
        Variant(shift=(down, right)),
        Variant(shift=(-down, -right)),
        Variant(mirrored=True, shift=(down, -right)),
        Variant(mirrored=True, shift=(-down, right)),
    )
