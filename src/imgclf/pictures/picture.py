"""A picture that a notebook shows by itself, and that can be saved."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgclf.atomic import write_text_atomically
from imgclf.errors import ArgumentError
from imgclf.pictures.drawing import Drawing
from imgclf.pictures.markup import as_text
from imgclf.pictures.vector import as_svg

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
        drawing: What was drawn; None where it is no plot.
        plot: Plots the same on a figure of matplotlib; None where it is no plot.

    Example:
        >>> evaluation.plot_confusion_matrix()                       # doctest: +SKIP
        >>> evaluation.plot_confusion_matrix().save("matrix.png")    # doctest: +SKIP
    """

    title: str
    html: str
    drawing: Drawing | None = field(default=None, compare=False)
    plot: Callable[[Any], None] | None = field(default=None, compare=False)

    @classmethod
    def of(cls, drawing: Drawing, plot: Callable[[Any], None]) -> Picture:
        """Make the picture of a drawing."""
        return cls(drawing.title, as_svg(drawing), drawing, plot)

    def __repr__(self) -> str:
        """Say how to see it where nothing shows HTML."""
        return f"<Picture: {self.title}; a notebook shows it, .save('picture.html') keeps it>"

    def _repr_html_(self) -> str:
        return self.html

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the picture.

        Args:
            path: The file: ``.html``; of a plot also ``.png`` or ``.svg``.

        Returns:
            The path.

        Raises:
            ArgumentError: The file has another ending.
            WriteError: It cannot be written.
        """
        target = Path(path)
        suffix = target.suffix.lower()
        if suffix in (".html", ".htm"):
            page = PAGE.format(title=as_text(self.title), content=self.html)
            write_text_atomically(target, page)
        elif self.drawing is None:
            raise ArgumentError(f"{target} does not end in .html: a gallery is saved as a page.")
        elif suffix == ".svg":
            write_text_atomically(target, as_svg(self.drawing))
        elif suffix == ".png":
            from imgclf.pictures.raster import write_png

            write_png(self.drawing, target)
        else:
            raise ArgumentError(
                f"{target} is not accepted: a plot is saved as .png, .svg or .html. For another "
                "format take .to_matplotlib().savefig(...)."
            )
        return target

    def to_matplotlib(self) -> Any:
        """Plot the picture with matplotlib, to change it or put it beside others.

        Returns:
            A `matplotlib.figure.Figure` with one pair of axes for each part.

        Raises:
            ArgumentError: matplotlib is not installed, or the picture is no plot.
        """
        if self.plot is None:
            raise ArgumentError("This picture is no plot: save it as .html.")
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ArgumentError(
                "matplotlib is not installed: pip install matplotlib, or save the picture as .png."
            ) from None
        figure = Figure(figsize=(6, 4.5), layout="constrained")
        self.plot(figure)
        return figure
