"""What is kept of a training whose images change under it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from imgclf.classifiers.classifier import Classifier
from imgclf.data.batches.image_data import ImageData
from imgclf.errors import DataError
from imgclf.machine.terminal import shell_word
from imgclf.runs.folder import BUNDLE_NAME, mark_stopped
from imgclf.training.checkpoints import newest_state

__all__ = ["keeping_best_epoch"]


@contextmanager
def keeping_best_epoch(
    model: keras.Model, data: ImageData, folder: Path | None, *, mirrored: bool
) -> Iterator[None]:
    """Save the network before a `DataError` ends its training, if it has finished an epoch.

    Args:
        model: The network; it has the weights of its best epoch when the error comes.
        data: Its images, some of which cannot be read any more.
        folder: The run folder; without one nothing is saved.
        mirrored: Whether its answers are averaged with those to the mirrored image.

    Raises:
        DataError: The same error, and where the network is.
    """
    try:
        yield
    except DataError as error:
        state = newest_state(folder / "checkpoints") if folder is not None else None
        if folder is None or state is None or not state.best_weights:
            raise
        mark_stopped(folder, True)
        bundle = folder / BUNDLE_NAME
        Classifier(model, data.train, mirrored=mirrored).save(bundle)
        raise DataError(
            f"{error} The best epoch so far is kept, without figures: imgclf evaluate "
            f"{shell_word(str(bundle))} DIR"
        ) from error
