"""Shares as text: written in one way, wherever a person reads them."""

from __future__ import annotations

__all__ = ["shown_range", "shown_share"]

TOLD_BY_ONE_DIGIT = 1_000
"""Images of which one more or less shows in a share with one digit; of more, two digits tell it."""


def shown_share(share: float, of: int = 0, *, digits: int | None = None) -> str:
    """Write a share as per cent.

    Args:
        share: 0 to 1.
        of: Number of images that it is a share of: it decides the digits behind the point.
        digits: Digits behind the point; None leaves them to `of`.

    Returns:
        The text. The pages' scripts write shares likewise (``percent``).

    Example:
        >>> shown_share(294 / 300, of=300), shown_share(9_358 / 10_000, of=10_000)
        ('98.0%', '93.58%')
    """
    if digits is None:
        digits = 1 if of <= TOLD_BY_ONE_DIGIT else 2
    return f"{100 * share:.{digits}f}%"


def shown_range(low: float, high: float, of: int = 0) -> str:
    """Write an interval of shares, as `shown_share` writes each."""
    return f"{shown_share(low, of)} to {shown_share(high, of)}"
