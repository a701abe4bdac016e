"""A sheet to draw on: boxes, lines and texts in any script, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgclf.machine.plain_text import printable

__all__ = ["ACCENT", "INK", "LINE", "PAPER", "SECOND", "SOFT", "Canvas", "Colour", "mixed"]

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

PAPER: Colour = (255, 255, 255)
INK: Colour = (27, 31, 36)
SOFT: Colour = (89, 99, 110)
LINE: Colour = (216, 222, 228)
ACCENT: Colour = (47, 95, 208)
SECOND: Colour = (191, 74, 44)
"""The colours of the report's page in its light theme."""

DENSITY = 2
"""Pixels per unit, so that pictures are sharp on today's screens."""

FRACTION_BITS = 4
"""Bits of a coordinate behind the point, for OpenCV."""

ELLIPSIS = "…"

DASH, GAP = 6.0, 4.0

Anchor = Literal["start", "middle", "end"]


class Canvas:
    """A white sheet of some units in width and height; a unit is two pixels.

    Texts are set in the fonts that come with OpenCV, which know all scripts: no picture depends
    on the fonts of a machine.
    """

    def __init__(self, width: float, height: float) -> None:
        size = (round(height * DENSITY), round(width * DENSITY), 3)
        self._pixels: NDArray[np.uint8] = np.full(size, PAPER, np.uint8)
        self._font = cv2.FontFace("sans")

    def box(self, left: float, top: float, width: float, height: float, colour: Colour) -> None:
        """Fill a rectangle."""
        right, bottom = round((left + width) * DENSITY), round((top + height) * DENSITY)
        self._pixels[round(top * DENSITY) : bottom, round(left * DENSITY) : right] = colour

    def line(
        self, points: Sequence[tuple[float, float]], colour: Colour, width: float = 1.0
    ) -> None:
        """Draw straight pieces from point to point."""
        places = np.array(points, np.float64) * DENSITY * 2**FRACTION_BITS
        cv2.polylines(
            self._pixels, [places.round().astype(np.int32)], isClosed=False, color=colour,
            thickness=max(1, round(width * DENSITY)), lineType=cv2.LINE_AA, shift=FRACTION_BITS,
        )  # fmt: skip

    def dashes(self, start: tuple[float, float], end: tuple[float, float], colour: Colour) -> None:
        """Draw a straight dashed line."""
        length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        for at in np.arange(0.0, length, DASH + GAP):
            ends = [_between(start, end, min(1, where / length)) for where in (at, at + DASH)]
            self.line(ends, colour)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        scale = DENSITY * 2**FRACTION_BITS
        cv2.circle(
            self._pixels, (round(x * scale), round(y * scale)), round(radius * scale), colour,
            thickness=-1, lineType=cv2.LINE_AA, shift=FRACTION_BITS,
        )  # fmt: skip

    def text(
        self,
        text: str,
        x: float,
        y: float,
        *,
        size: float = 13,
        colour: Colour = INK,
        weight: int = 400,
        anchor: Anchor = "start",
        turned: bool = False,
    ) -> None:
        """Write a line of text.

        Args:
            text: The text; what steers is written as escapes.
            x: Where it starts, has its middle or ends.
            y: Its base line; with `turned`, where the text starts, from below to above, and `x` is
                the base line.
            size: Height of a line, in units.
            colour: Of the letters.
            weight: 400 is regular, 600 bold.
            anchor: Which part of the text stands at the place.
            turned: Write upwards.
        """
        shown = printable(text, is_name=True)
        if not shown:
            return
        style = (_pixel_size(size), colour, weight)
        width = self.text_width(shown, size=size, weight=weight)
        before = {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        if not turned:
            place = (round((x - before) * DENSITY), round(y * DENSITY))
            self._write(self._pixels, shown, place, style)
            return
        self._write_upwards(shown, (round(x * DENSITY), round((y + before) * DENSITY)), style)

    def text_width(self, text: str, *, size: float = 13, weight: int = 400) -> float:
        """Return how wide a text is, in units."""
        x, _, width, _ = cv2.getTextSize(
            (1, 1), printable(text, is_name=True), (0, 0), self._font, _pixel_size(size), weight
        )
        return float(x + width) / DENSITY

    def shortened(self, text: str, most: float, *, size: float = 13, weight: int = 400) -> str:
        """Return a text, cut at its end where it is wider than `most` units."""
        if self.text_width(text, size=size, weight=weight) <= most:
            return text
        low, high = 0, len(text)
        while high - low > 1:
            middle = (low + high) // 2
            cut = text[:middle].rstrip() + ELLIPSIS
            fits = self.text_width(cut, size=size, weight=weight) <= most
            low, high = (middle, high) if fits else (low, middle)
        return text[:low].rstrip() + ELLIPSIS

    def image(self) -> Image.Image:
        """Return what was drawn, as an RGB picture."""
        image = Image.fromarray(self._pixels)
        image.info["dpi"] = (72 * DENSITY, 72 * DENSITY)
        return image

    def _write(
        self, pixels: NDArray[np.uint8], text: str, place: tuple[int, int], style: Style
    ) -> None:
        size, colour, weight = style
        cv2.putText(pixels, text, place, colour, self._font, size, weight)

    def _write_upwards(self, text: str, place: tuple[int, int], style: Style) -> None:
        """Write from below to above: letters are only written from left to right, so turn a strip.

        The strip is as wide as letters reach above and below their base line.
        """
        base, start = place
        left, right = max(0, base - 2 * style[0]), base + style[0]
        strip = np.ascontiguousarray(np.rot90(self._pixels[:, left:right], -1))
        self._write(strip, text, (self._pixels.shape[0] - start, base - left), style)
        self._pixels[:, left:right] = np.rot90(strip)


Style = tuple[int, Colour, int]
"""Height of a line in pixels, colour, weight."""


def mixed(colour: Colour, share: float, other: Colour = PAPER) -> Colour:
    """Return a colour of which `share`, 0 to 1, is the first and the rest the other."""
    red, green, blue = (
        round(share * first + (1 - share) * second)
        for first, second in zip(colour, other, strict=True)
    )
    return red, green, blue


def _between(
    start: tuple[float, float], end: tuple[float, float], share: float
) -> tuple[float, float]:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _pixel_size(size: float) -> int:
    return max(4, round(size * DENSITY))
