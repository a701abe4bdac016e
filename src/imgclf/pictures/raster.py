"""A drawing as pixels, for slides and papers: no browser and no font of the machine is needed."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from imgclf.atomic import write_atomically
from imgclf.pictures.drawing import Box, Dot, Drawing, Line, Shape, Text, Tone
from imgclf.pictures.lettering import text_width
from imgclf.pictures.markup import ACCENT, WRONG

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from imgclf.pictures.drawing import Point

__all__ = ["COLOURS", "as_image", "write_png"]

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

COLOURS: dict[Tone, Colour] = {
    "ink": (27, 31, 36),
    "soft": (89, 99, 110),
    "line": (216, 222, 228),
    "paper": (255, 255, 255),
    "accent": tuple(bytes.fromhex(ACCENT[1:])),  # type: ignore[dict-item]
    "wrong": tuple(bytes.fromhex(WRONG[1:])),  # type: ignore[dict-item]
}

DENSITY = 2
"""Pixels per unit, so that pictures are sharp on today's screens."""

FRACTION_BITS = 4
"""Bits of a coordinate behind the point, for OpenCV."""

DASH, GAP = 6.0, 4.0


def write_png(drawing: Drawing, target: Path) -> None:
    """Write a drawing as a PNG file.

    Args:
        drawing: The drawing.
        target: The file.

    Raises:
        WriteError: It cannot be written.
    """
    content = io.BytesIO()
    dots_per_inch = (72 * DENSITY, 72 * DENSITY)
    as_image(drawing).save(content, "PNG", optimize=True, dpi=dots_per_inch)
    write_atomically(target, content.getvalue())


def as_image(drawing: Drawing) -> Image.Image:
    """Draw on white paper.

    Args:
        drawing: The drawing.

    Returns:
        An RGB picture, two pixels for each unit.
    """
    size = (round(drawing.height * DENSITY), round(drawing.width * DENSITY), 3)
    pixels: NDArray[np.uint8] = np.full(size, COLOURS["paper"], np.uint8)
    for shape in drawing.shapes:
        _draw(pixels, shape)
    return Image.fromarray(pixels)


def _draw(pixels: NDArray[np.uint8], shape: Shape) -> None:
    colour = COLOURS[shape.tone]
    if isinstance(shape, Box):
        right, bottom = shape.left + shape.width, shape.top + shape.height
        pixels[
            round(shape.top * DENSITY) : round(bottom * DENSITY),
            round(shape.left * DENSITY) : round(right * DENSITY),
        ] = _mixed(colour, shape.strength)
    elif isinstance(shape, Line):
        for points in _dashes(shape.points) if shape.is_dashed else [shape.points]:
            _draw_line(pixels, points, colour, shape.width)
    elif isinstance(shape, Dot):
        _draw_dot(pixels, shape, colour)
    elif shape.text:
        _write(pixels, shape, colour)


def _mixed(colour: Colour, strength: float) -> Colour:
    red, green, blue = (
        round(strength * part + (1 - strength) * paper)
        for part, paper in zip(colour, COLOURS["paper"], strict=True)
    )
    return red, green, blue


def _draw_line(pixels: NDArray[np.uint8], points: object, colour: Colour, width: float) -> None:
    import cv2

    places = np.array(points, np.float64) * DENSITY * 2**FRACTION_BITS
    cv2.polylines(
        pixels, [places.round().astype(np.int32)], isClosed=False, color=colour,
        thickness=max(1, round(width * DENSITY)), lineType=cv2.LINE_AA, shift=FRACTION_BITS,
    )  # fmt: skip


def _dashes(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Cut a line from the first to the last point into dashes."""
    (left, top), (right, bottom) = points[0], points[-1]
    length = math.hypot(right - left, bottom - top)
    for at in np.arange(0.0, length, DASH + GAP):
        shares = (at / length, min(1.0, (at + DASH) / length))
        yield [(left + s * (right - left), top + s * (bottom - top)) for s in shares]


def _draw_dot(pixels: NDArray[np.uint8], dot: Dot, colour: Colour) -> None:
    import cv2

    scale = DENSITY * 2**FRACTION_BITS
    cv2.circle(
        pixels, (round(dot.x * scale), round(dot.y * scale)), round(dot.radius * scale), colour,
        thickness=-1, lineType=cv2.LINE_AA, shift=FRACTION_BITS,
    )  # fmt: skip


def _write(pixels: NDArray[np.uint8], text: Text, colour: Colour) -> None:
    """Write a text; upwards by turning a strip, since letters only go from left to right.

    The strip is as wide as letters reach above and below their base line.
    """
    width = text_width(text.text, size=text.size, weight=text.weight)
    before = {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
    if not text.is_turned:
        place = (round((text.x - before) * DENSITY), round(text.y * DENSITY))
        _put_letters(pixels, text, place, colour)
        return
    base, start = round(text.x * DENSITY), round((text.y + before) * DENSITY)
    height = _pixel_size(text)
    left, right = max(0, base - 2 * height), base + height
    strip = np.ascontiguousarray(np.rot90(pixels[:, left:right], -1))
    _put_letters(strip, text, (pixels.shape[0] - start, base - left), colour)
    pixels[:, left:right] = np.rot90(strip)


def _put_letters(
    pixels: NDArray[np.uint8], text: Text, place: tuple[int, int], colour: Colour
) -> None:
    import cv2

    font = cv2.FontFace("sans")
    cv2.putText(pixels, text.text, place, colour, font, _pixel_size(text), text.weight)


def _pixel_size(text: Text) -> int:
    return max(4, round(text.size * DENSITY))
