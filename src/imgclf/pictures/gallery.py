"""A gallery: images side by side, each with a caption."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgclf.pictures.markup import FONT, as_text

__all__ = ["GalleryItem", "gallery"]

SIDE = 112
"""Longer side of an image on the page, in pixels."""

JPEG_QUALITY = 85

SMALL = 64
"""Side below which an image is enlarged without blurring it."""


@dataclass(frozen=True, slots=True, eq=False)
class GalleryItem:
    """An image of a gallery.

    Attributes:
        pixels: uint8 ``(height, width, channels)``, 0..255; None for one that cannot be shown.
        caption: What stands below it, plain text.
        detail: What is shown while the pointer rests on it, plain text.
    """

    pixels: NDArray[np.uint8] | None
    caption: str
    detail: str = ""


def gallery(items: Iterable[GalleryItem]) -> str:
    """Show images side by side; as many in a row as fit.

    Args:
        items: The images.

    Returns:
        HTML that carries the images.
    """
    figures = "".join(map(_figure, items))
    return f'<div style="{FONT};display:flex;flex-wrap:wrap;gap:10px">{figures}</div>'


def _figure(item: GalleryItem) -> str:
    caption = as_text(item.caption)
    if item.pixels is None:
        image = f'<div style="width:{SIDE}px;height:{SIDE}px;border:1px dashed;opacity:.5"></div>'
    else:
        height, width = item.pixels.shape[:2]
        scale = SIDE / max(height, width)
        rendering = ";image-rendering:pixelated" if max(height, width) <= SMALL else ""
        image = (
            f'<img src="{_data_uri(item.pixels)}" alt="{caption}" title="{as_text(item.detail)}" '
            f'width="{max(1, round(width * scale))}" height="{max(1, round(height * scale))}" '
            f'style="display:block;border-radius:3px;margin:0{rendering}">'
        )
    style = f"margin:0;width:{SIDE}px;overflow-wrap:anywhere"
    return f'<figure style="{style}">{image}<figcaption>{caption}</figcaption></figure>'


def _data_uri(pixels: NDArray[np.uint8]) -> str:
    content = io.BytesIO()
    plain = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    if max(plain.shape[:2]) <= SMALL:  # Every pixel is seen; PNG keeps it.
        Image.fromarray(plain).save(content, "PNG")
        kind = "png"
    else:
        Image.fromarray(plain).save(content, "JPEG", quality=JPEG_QUALITY)
        kind = "jpeg"
    encoded = base64.b64encode(content.getvalue()).decode("ascii")
    return f"data:image/{kind};base64,{encoded}"
