"""A picture that a notebook shows by itself, and that can be saved."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgclf.atomic import write_text_atomically
from imgclf.errors import ArgumentError
from imgclf.pictures.markup import as_text

__all__ = ["Picture"]

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width"><title>{title}</title>
<body>{content}</body></html>
"""


@dataclass(frozen=True, slots=True, repr=False)
class Picture:
    """A picture: the last line of a notebook's cell shows it.

    Attributes:
        title: What it shows, in a few words.
        html: The picture as HTML, with its styles and data inside.
        draw: Draws it on the axes of matplotlib; None where it is no plot.

    Example:
        >>> evaluation.plot_confusion_matrix()                       # doctest: +SKIP
        >>> evaluation.plot_confusion_matrix().save("matrix.html")   # doctest: +SKIP
    """

    title: str
    html: str
    draw: Callable[[Any], None] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """Say how to see it where nothing shows HTML."""
        return f"<Picture: {self.title}; a notebook shows it, .save('picture.html') keeps it>"

    def _repr_html_(self) -> str:
        return self.html

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the picture.

        Args:
            path: The file: ``.html``; a plot with matplotlib installed also as ``.png``, ``.svg``
                or ``.pdf``.

        Returns:
            The path.

        Raises:
            ArgumentError: The file has another ending, or matplotlib is missing.
            WriteError: It cannot be written.
        """
        target = Path(path)
        if target.suffix.lower() in (".html", ".htm"):
            page = PAGE.format(title=as_text(self.title), content=self.html)
            write_text_atomically(target, page)
            return target
        if self.draw is None:
            raise ArgumentError(f"{target} does not end in .html: a gallery is saved as a page.")
        self.to_matplotlib().savefig(target, bbox_inches="tight", dpi=150)
        return target

    def to_matplotlib(self) -> Any:
        """Draw the picture with matplotlib, to change it or put it beside others.

        Returns:
            A `matplotlib.figure.Figure` with one pair of axes for each part.

        Raises:
            ArgumentError: matplotlib is not installed, or the picture is no plot.
        """
        if self.draw is None:
            raise ArgumentError("This picture is no plot: save it as .html.")
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ArgumentError(
                "matplotlib is not installed: pip install matplotlib, or save as .html."
            ) from None
        figure = Figure(figsize=(6, 4.5), layout="constrained")
        self.draw(figure)
        return figure
