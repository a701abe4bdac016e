"""The pictures of a report: which images are worth their bytes, and small copies of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgclf.data.pixels.decoder import decode
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import ImageError
from imgclf.machine.hardware import available_processors

__all__ = ["MOST_PICTURES", "choose_for_cells", "data_uri", "thumbnails"]

MOST_PICTURES = 2000
"""Images in one report; at about 2.5 kB each they stay well under 10 MB."""

MOST_PER_MISTAKE = 40
MOST_PER_CLASS = 16
"""Images behind one cell of the confusion matrix, off and on its diagonal."""

THUMBNAIL = InputPolicy((72, 72), resize="crop")

JPEG_QUALITY = 72


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


def thumbnails(paths: Sequence[str]) -> list[str | None]:
    """Make a small copy of each image.

    Args:
        paths: The files.

    Returns:
        ``data:`` addresses; None for a file that is gone or cannot be decoded.
    """
    with ThreadPoolExecutor(available_processors()) as pool:
        return list(pool.map(_thumbnail, paths))


def _thumbnail(path: str) -> str | None:
    try:
        pixels = decode(path, THUMBNAIL)
    except ImageError:
        return None
    return data_uri(Image.fromarray(pixels))


def data_uri(image: Image.Image) -> str:
    """Return a picture as an address that carries it."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def first_distinct(groups: Iterable[Sequence[int]]) -> list[int]:
    """Return every index once, in the order of its first mention."""
    return list(dict.fromkeys(index for group in groups for index in group))
