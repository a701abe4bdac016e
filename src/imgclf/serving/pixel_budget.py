"""How many pixels are decoded at a time, over all threads: that is what takes memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from imgclf.data.pixels.formats import canvas_size, open_lazily, quiet_pillow

__all__ = ["PixelBudget", "stated_pixels"]


class PixelBudget:
    """Lets threads decode together no more than a number of pixels.

    Args:
        most: The number; no single image may have more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until an image fits in, and keep its place.

        Args:
            pixels: Width times height of the image.
        """
        pixels = min(pixels, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._used + pixels <= self._most)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


def stated_pixels(content: bytes, most: int) -> int:
    """Return width times height of an image, as its header states them.

    Args:
        content: The file's content.
        most: What the decoder accepts; it refuses more before it takes memory.

    Returns:
        The pixels; 0 for what the decoder is going to refuse.
    """
    try:
        with quiet_pillow():
            size = canvas_size(content)
            if size is None:
                size = open_lazily(content)[1].size
    except Exception:  # noqa: BLE001 - the decoder meets the same, and says what it is
        return 0
    pixels = size[0] * size[1]
    return pixels if pixels <= most else 0
