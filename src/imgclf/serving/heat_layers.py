"""A heat map as a picture to lay over the photo that it explains."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.data.pixels.input_policy import ResizeMode

__all__ = ["heat_layer", "heat_over_photo"]

LONGEST_SIDE = 640
"""Pixels of the longer side: the map itself has but a few places a side."""

MOST_OPAQUE = 0.72
"""How opaque a layer is where the heat is greatest; where there is none it is transparent."""


def heat_over_photo(
    heatmap: NDArray[np.float32], size: tuple[int, int], resize: ResizeMode
) -> NDArray[np.float32]:
    """Undo what made the network's input of a photo, for a heat map.

    Args:
        heatmap: float32 ``(height, width)``, 0 to 1, of the network's input.
        size: ``(width, height)`` of the upright photo, in pixels.
        resize: How it became the input; see `imgclf.InputPolicy`.

    Returns:
        float32 ``(height, width)``, 0 to 1, of the photo's proportions, `LONGEST_SIDE` pixels at
        the most. The parts of a photo that were cut off are 0.
    """
    scale = min(1.0, LONGEST_SIDE / max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    rows, columns = heatmap.shape
    if resize == "stretch":
        return _resized(heatmap, width, height)
    if resize == "pad":
        share = min(columns / width, rows / height)
        across, down = max(1, round(width * share)), max(1, round(height * share))
        left, top = (columns - across) // 2, (rows - down) // 2
        return _resized(heatmap[top : top + down, left : left + across], width, height)
    share = max(columns / width, rows / height)
    across, down = min(width, round(columns / share)), min(height, round(rows / share))
    left, top = (width - across) // 2, (height - down) // 2
    whole = np.zeros((height, width), np.float32)
    whole[top : top + down, left : left + across] = _resized(heatmap, across, down)
    return whole


def heat_layer(heatmap: NDArray[np.float32]) -> bytes:
    """Colour a heat map: blue is cold and nearly transparent, red is hot.

    Args:
        heatmap: float32 ``(height, width)``, 0 to 1.

    Returns:
        A PNG file, RGBA, of the same size.
    """
    levels = (heatmap.clip(0, 1) * 255).round().astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[..., ::-1]
    opacity = (np.sqrt(levels / 255) * MOST_OPAQUE * 255).round().astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.dstack([colours, opacity])).save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def _resized(heatmap: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    large = cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32)
