"""The plot of a learning-rate range test, as SVG."""

from __future__ import annotations

import math

from imgclf.training.rate_finder import RateFinding

__all__ = ["rate_picture"]

WIDTH, HEIGHT, MARGIN = 640, 360, 48
"""Pixels."""


def rate_picture(finding: RateFinding) -> str:
    """Draw the loss over the learning rate, with the suggestion marked.

    Args:
        finding: What the test gave.

    Returns:
        An SVG document that needs nothing else.
    """
    lowest, highest = math.log10(finding.rates[0]), math.log10(finding.rates[-1])
    bottom, top = float(finding.losses.min()), float(finding.losses.max())

    def across(rate: float) -> float:
        share = (math.log10(rate) - lowest) / ((highest - lowest) or 1)
        return MARGIN + share * (WIDTH - 2 * MARGIN)

    def down(loss: float) -> float:
        share = (loss - bottom) / ((top - bottom) or 1)
        return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)

    points = " ".join(
        f"{across(rate):.1f},{down(loss):.1f}"
        for rate, loss in zip(finding.rates, finding.losses, strict=True)
    )
    ticks = "".join(
        f'<text x="{across(10.0**power):.0f}" y="{HEIGHT - MARGIN + 20}" '
        f'text-anchor="middle">1e{power}</text>'
        for power in range(math.ceil(lowest), math.floor(highest) + 1)
    )
    levels = "".join(
        f'<text x="{MARGIN - 6}" y="{down(level) + 4:.0f}" text-anchor="end">{level:.2f}</text>'
        for level in (bottom, top)
    )
    mark = across(finding.suggestion)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img">'
        "<title>Loss over the learning rate</title>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
        f'<path d="M{MARGIN},{MARGIN} V{HEIGHT - MARGIN} H{WIDTH - MARGIN}" '
        'fill="none" stroke="#888"/>'
        f"{ticks}{levels}"
        f'<text x="{WIDTH // 2}" y="{HEIGHT - 8}" text-anchor="middle">learning rate</text>'
        f'<text x="{MARGIN}" y="{MARGIN - 16}">loss (smoothed)</text>'
        f'<polyline points="{points}" fill="none" stroke="#1f6feb" stroke-width="2"/>'
        f'<path d="M{mark:.1f},{MARGIN} V{HEIGHT - MARGIN}" stroke="#d1242f" '
        'stroke-dasharray="5 4"/>'
        f'<text x="{mark + 6:.1f}" y="{MARGIN + 12}" fill="#d1242f">{finding.suggestion:.2g}</text>'
        "</svg>\n"
    )
