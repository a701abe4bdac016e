"""The figures of a run as PNG files, for slides, papers and those who look for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from imgclf.pictures.confusion_matrix import draw_confusion_matrix
from imgclf.pictures.curves import draw_curves
from imgclf.pictures.raster import write_png

if TYPE_CHECKING:
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
    write_png(draw_confusion_matrix(confusion, run.class_names), run.folder / CONFUSION_NAME)
    if len(run.history["epoch"]) > 1:
        write_png(draw_curves(run.history, run.record["best_epoch"]), run.folder / CURVES_NAME)
