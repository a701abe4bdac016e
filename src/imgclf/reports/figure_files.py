"""The figures of a run as PNG files, for slides, papers and those who look for them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from imgclf.atomic import write_atomically
from imgclf.drawing.confusion_picture import draw_confusion_matrix
from imgclf.drawing.history_picture import draw_history

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from imgclf.runs.record import RunRecord

__all__ = ["CONFUSION_NAME", "CURVES_NAME", "write_figures"]

CONFUSION_NAME = "confusion_matrix.png"
CURVES_NAME = "curves.png"


def write_figures(run: RunRecord) -> None:
    """Write ``confusion_matrix.png``, and ``curves.png`` where there was more than one epoch.

    Args:
        run: A finished run.

    Raises:
        WriteError: A file cannot be written.
    """
    confusion = np.array(run.record["evaluation"]["confusion"], np.int64)
    _write(draw_confusion_matrix(confusion, run.class_names), run.folder / CONFUSION_NAME)
    if len(run.history["epoch"]) > 1:
        _write(draw_history(run.history, run.record["best_epoch"]), run.folder / CURVES_NAME)


def _write(image: Image.Image, target: Path) -> None:
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True, dpi=image.info["dpi"])
    write_atomically(target, content.getvalue())
