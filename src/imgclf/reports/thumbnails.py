"""The pictures of a report: which images are worth their bytes, and small copies of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgclf.data.pixels.decoder import decode, decode_with_facts
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import ImageError
from imgclf.machine.hardware import available_processors

__all__ = ["MOST_PICTURES", "choose_for_cells", "data_uri", "thumbnails"]

MOST_PICTURES = 1000
"""Images in one report; at about 5 kB each, and 20 kB the large ones, they stay under 10 MB."""

MOST_PER_MISTAKE = 40
MOST_PER_CLASS = 16
"""Images behind one cell of the confusion matrix, off and on its diagonal."""

LARGE_SIDE, SMALL_SIDE = 360, 160
"""Longer side of a copy, in pixels: one to look at closely, and any other."""

SMALLEST_SIDE = 64
"""Up to this side every pixel counts."""

JPEG_QUALITY = 76


def choose_for_cells(
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    probability: NDArray[np.float64],
    most: int,
) -> dict[tuple[int, int], list[int]]:
    """Choose the images that are shown behind each cell of the confusion matrix.

    Cells take turns, so that each shows some before one shows many: of mistakes the surest first,
    of right answers the least sure.

    Args:
        labels: ``(num_images,)`` true class indices.
        predicted: ``(num_images,)`` predicted class indices.
        probability: float64 ``(num_images,)``, of the predicted class.
        most: Images in all.

    Returns:
        Image indices by ``(true, predicted)``.
    """
    is_mistake = labels != predicted
    order = np.argsort(np.where(is_mistake, -probability, probability), kind="stable")
    cells: dict[tuple[int, int], list[int]] = {}
    for index in order.tolist():
        cells.setdefault((int(labels[index]), int(predicted[index])), []).append(index)
    chosen: dict[tuple[int, int], list[int]] = {cell: [] for cell in cells}
    for turn in range(MOST_PER_MISTAKE):
        for cell, indices in cells.items():
            limit = MOST_PER_CLASS if cell[0] == cell[1] else MOST_PER_MISTAKE
            if most > 0 and turn < min(limit, len(indices)):
                chosen[cell].append(indices[turn])
                most -= 1
    return chosen


def thumbnails(paths: Sequence[str], *, num_large: int = 0) -> list[str | None]:
    """Make a copy of each image in its true shape, none larger than the image itself.

    Args:
        paths: The files.
        num_large: How many of the first ones are made large enough to look at closely.

    Returns:
        ``data:`` addresses; None for a file that is gone or cannot be decoded.
    """
    sides = [LARGE_SIDE if at < num_large else SMALL_SIDE for at in range(len(paths))]
    with ThreadPoolExecutor(available_processors()) as pool:
        return list(pool.map(_thumbnail, paths, sides))


def _thumbnail(path: str, side: int) -> str | None:
    try:
        decoded = decode_with_facts(path, InputPolicy((side, side), resize="pad"))
        width, height = decoded.facts.width, decoded.facts.height
        if max(width, height) <= side:  # Not enlarged here: the page does it.
            return data_uri(Image.fromarray(decode(path, InputPolicy((height, width)))))
    except ImageError:
        return None
    scale = side / max(width, height)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (side - across) // 2, (side - down) // 2
    return data_uri(decoded.image.crop((left, top, left + across, top + down)))


def data_uri(image: Image.Image) -> str:
    """Return a picture as an address that carries it."""
    content = io.BytesIO()
    quality = JPEG_QUALITY if max(image.size) > SMALLEST_SIDE else 95
    image.save(content, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def first_distinct(groups: Iterable[Sequence[int]]) -> list[int]:
    """Return every index once, in the order of its first mention."""
    return list(dict.fromkeys(index for group in groups for index in group))
