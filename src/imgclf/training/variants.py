"""Variants of images, mirrored or shifted, whose features are further rows for a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.training.recipes import HeadCopies

__all__ = ["MIRRORED", "PLAIN", "Variant", "copies_of", "shifted_variants"]

SHIFT_SHARE = 1 / 16
"""Shift of `shifted_variants` as a share of the side: 14 pixels of 224."""

MOST_ROWS = 50_000
"""Rows of features of images and copies together: 256 MB of 1,280 features."""


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


def copies_of(
    kind: HeadCopies, image_size: tuple[int, int], num_images: int
) -> tuple[Variant, ...]:
    """Return the variants beside the plain images that a head learns from.

    Args:
        kind: ``"none"``, ``"mirrored"``, or ``"shifted"``: mirrored and four shifted ones.
        image_size: ``(height, width)`` in pixels.
        num_images: Training images; of many, fewer variants are taken, or none: each costs another
            pass through the backbone, and many images have little to learn from copies.

    Returns:
        The variants.
    """
    wanted = {
        "none": (),
        "mirrored": (MIRRORED,),
        "shifted": (MIRRORED, *shifted_variants(image_size)),
    }[kind]
    return wanted[: max(0, MOST_ROWS // max(1, num_images) - 1)]
