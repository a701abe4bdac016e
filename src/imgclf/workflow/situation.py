"""Where an automatic training stands: its images, its wishes and its time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from imgclf.data.batches.image_data import ImageData
from imgclf.data.reading.image_folder import Folders
from imgclf.runs.resolution import Improvement
from imgclf.runs.settings import Settings

__all__ = ["Situation"]

USUAL_TIME_S = {"fast": 300.0, "best": 1800.0}
"""Seconds of a training without a budget."""


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """Where a training stands once its first answer is there.

    Attributes:
        directory: The folder of the images.
        folders: What was read of it.
        data: Its images, in the size of the first answer.
        settings: The settings as they were given.
        kind: What may be tried.
        folder: The run folder, if any.
        split_sha256: By which a file names the division of the images.
        began_s: When the training began, on the monotonic clock.
    """

    directory: str
    folders: Folders
    data: ImageData
    settings: Settings
    kind: Improvement
    folder: Path | None
    split_sha256: str
    began_s: float

    @property
    def time_s(self) -> float:
        """Seconds of the whole training."""
        return self.settings.budget_s or USUAL_TIME_S[self.settings.recipe]

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self.time_s - (time.monotonic() - self.began_s)
