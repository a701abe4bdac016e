"""How wide texts are, in the fonts that come with OpenCV: any script, the same on every machine."""

from __future__ import annotations

from imgclf.machine.plain_text import printable

__all__ = ["shortened", "text_width"]

PRECISION = 4
"""Sizes of letters are whole numbers: they are measured this many times as large."""

ELLIPSIS = "…"


def text_width(text: str, *, size: float = 13, weight: int = 400) -> float:
    """Return how wide a text is, in the units of its size."""
    import cv2  # a tenth of a second, which what draws nothing does not need

    x, _, width, _ = cv2.getTextSize(
        (1, 1), printable(text, is_name=True), (0, 0), cv2.FontFace("sans"),
        round(size * PRECISION), weight,
    )  # fmt: skip
    return float(x + width) / PRECISION


def shortened(text: str, most: float, *, size: float = 13, weight: int = 400) -> str:
    """Return a text, cut at its end where it is wider than `most` units."""
    if text_width(text, size=size, weight=weight) <= most:
        return text
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        cut = text[:middle].rstrip() + ELLIPSIS
        fits = text_width(cut, size=size, weight=weight) <= most
        low, high = (middle, high) if fits else (low, middle)
    return text[:low].rstrip() + ELLIPSIS
