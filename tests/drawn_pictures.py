"""Five pictures of things, drawn by arithmetic: the same pixels on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def _coordinates(side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows and columns of pixels, -1 to 1."""
    line = (np.arange(side) + 0.5) / side * 2 - 1
    rows, columns = np.meshgrid(line, line, indexing="ij")
    return rows, columns


def _painted(side: int, background: tuple[int, int, int]) -> NDArray[np.float64]:
    return np.full((side, side, 3), background, np.float64)


def clock(side: int) -> NDArray[np.float64]:
    """A white dial with twelve marks and two hands on a wall."""
    rows, columns = _coordinates(side)
    distance, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
    picture = _painted(side, (190, 170, 140))
    picture[distance < 0.88] = (40, 30, 25)
    picture[distance < 0.8] = (245, 245, 240)
    to_mark = np.abs((angle / (np.pi / 6) + 0.5) % 1 - 0.5) * (np.pi / 6) * distance
    picture[(to_mark < 0.025) & (distance > 0.62) & (distance < 0.75)] = (20, 20, 20)
    for turn, length, width in ((-np.pi / 2, 0.6, 0.025), (np.pi / 5, 0.42, 0.04)):
        along = columns * np.cos(turn) + rows * np.sin(turn)
        beside = np.abs(columns * np.sin(turn) - rows * np.cos(turn))
        picture[(along > -0.08) & (along < length) & (beside < width)] = (15, 15, 15)
    return picture


def crossword(side: int) -> NDArray[np.float64]:
    """A grid of white and black fields."""
    picture = _painted(side, (250, 250, 250))
    fields = 13
    place = np.arange(side) * fields // side
    row, column = np.meshgrid(place, place, indexing="ij")
    black = (row * 5 + column * 3 + (row * column) % 4) % 7 == 0
    picture[black] = (10, 10, 10)
    edge = np.diff(place, prepend=-1) != 0
    picture[edge] = (10, 10, 10)
    picture[:, edge] = (10, 10, 10)
    return picture


def spider_web(side: int) -> NDArray[np.float64]:
    """Fourteen threads from near the middle, and rings that sag between them, in the dark."""
    rows, columns = _coordinates(side)
    distance, angle = np.hypot(rows + 0.1, columns - 0.15), np.arctan2(rows + 0.1, columns - 0.15)
    picture = _painted(side, (25, 35, 25))
    picture += (40 * np.clip(1 - np.hypot(rows + 0.6, columns - 0.55), 0, 1))[..., None]
    step = 2 * np.pi / 14
    sector = (angle / step + 0.5) % 1 - 0.5
    ring = distance * (1 + 0.35 * (0.25 - sector**2)) * 9
    thread = (np.abs(sector) * step * distance < 0.006) | (np.abs(ring % 1 - 0.5) < 0.04)
    picture[thread] = (200, 210, 200)
    return picture


def maze(side: int) -> NDArray[np.float64]:
    """Round walls, each with a gap elsewhere."""
    rows, columns = _coordinates(side)
    picture = _painted(side, (250, 250, 250))
    distance, angle = np.hypot(rows, columns) * 12, np.arctan2(rows, columns) / (2 * np.pi)
    wall = (np.abs(distance % 1 - 0.5) < 0.18) & (distance < 11.4)
    gap = np.abs((angle - np.floor(distance) * 0.37) % 1 - 0.5) < 0.04
    picture[wall & ~gap] = (20, 20, 20)
    return picture


def ball(side: int) -> NDArray[np.float64]:
    """An orange ball with a highlight, over its shadow."""
    rows, columns = _coordinates(side)
    picture = _painted(side, (205, 205, 210))
    picture[np.hypot((rows - 0.68) * 3, columns) < 0.62] = (140, 140, 150)
    inside = np.hypot(rows, columns) < 0.66
    light = np.clip(1.1 - 0.7 * np.hypot(rows + 0.25, columns + 0.25), 0.25, 1)[..., None]
    picture[inside] = (np.array((250, 140, 30)) * light)[inside]
    return picture


PICTURES: dict[str, Callable[[int], NDArray[np.float64]]] = {
    "analog clock": clock,
    "crossword puzzle": crossword,
    "spider web": spider_web,
    "maze": maze,
    "ping-pong ball": ball,
}


def draw_pictures(side: int) -> NDArray[np.uint8]:
    """Draw all five.

    Args:
        side: Of each picture, in pixels.

    Returns:
        ``(5, side, side, 3)``.
    """
    return np.stack([draw(side).round().clip(0, 255) for draw in PICTURES.values()]).astype(
        np.uint8
    )
