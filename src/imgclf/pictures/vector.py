"""A drawing as SVG, for pages: crisp at any size, and readable on light and dark ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgclf.pictures.drawing import Box, Dot, Drawing, Line, Shape, Text, Tone
from imgclf.pictures.markup import ACCENT, WRONG, as_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["as_svg"]

COLOURS: Mapping[Tone, tuple[str, float]] = {
    "ink": ("currentColor", 1.0),
    "soft": ("currentColor", 0.7),
    "line": ("currentColor", 0.2),
    "paper": ("#fff", 1.0),
    "accent": (ACCENT, 1.0),
    "wrong": (WRONG, 1.0),
}
"""Colour and opacity: a page's own ink is dark on light pages, and light on dark ones."""


def as_svg(drawing: Drawing) -> str:
    """Write a drawing as an SVG element, which is also the content of a file.

    Args:
        drawing: The drawing; its texts are escaped.

    Returns:
        The element, with all that it needs.
    """
    width, height = f"{drawing.width:.0f}", f"{drawing.height:.0f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        'role="img" style="max-width:100%;height:auto;font-family:system-ui,sans-serif">'
        f"<title>{as_text(drawing.title)}</title>{''.join(map(_element, drawing.shapes))}</svg>"
    )


def _element(shape: Shape) -> str:
    if isinstance(shape, Box):
        return (
            f'<rect x="{shape.left:.1f}" y="{shape.top:.1f}" width="{shape.width:.1f}" '
            f'height="{shape.height:.1f}" {_paint("fill", shape.tone, shape.strength)}/>'
        )
    if isinstance(shape, Line):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
        dashes = ' stroke-dasharray="6 4"' if shape.is_dashed else ""
        return (
            f'<polyline points="{points}" fill="none" {_paint("stroke", shape.tone)} '
            f'stroke-width="{shape.width:g}"{dashes}/>'
        )
    if isinstance(shape, Dot):
        place = f'cx="{shape.x:.1f}" cy="{shape.y:.1f}" r="{shape.radius:g}"'
        return f"<circle {place} {_paint('fill', shape.tone)}/>"
    return _text_element(shape)


def _text_element(text: Text) -> str:
    place = f'x="{text.x:.1f}" y="{text.y:.1f}"'
    if text.is_turned:
        place = f'transform="translate({text.x:.1f},{text.y:.1f}) rotate(-90)"'
    weight = f' font-weight="{text.weight}"' if text.weight != 400 else ""
    return (
        f'<text {place} text-anchor="{text.anchor}" font-size="{text.size:g}"{weight} '
        f"{_paint('fill', text.tone)}>{as_text(text.text)}</text>"
    )


def _paint(what: str, tone: Tone, strength: float = 1.0) -> str:
    colour, opacity = COLOURS[tone]
    covered = opacity * strength
    return f'{what}="{colour}"' + (f' {what}-opacity="{covered:.2f}"' if covered < 1 else "")
