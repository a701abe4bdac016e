"""A search on a folder of images; what is wrong is refused before TensorFlow is loaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imgclf.data.reading.layout import read_folders

if TYPE_CHECKING:
    from imgclf.tuning.outcome import TuningResult
    from imgclf.tuning.request import SearchObserver, SearchRequest

__all__ = ["search_folder"]


def search_folder(
    directory: str | os.PathLike[str], request: SearchRequest, observer: SearchObserver
) -> TuningResult:
    """Search on a folder of images, as `imgclf.tune` and the command line do.

    Args:
        directory: The folder.
        request: What is searched, and how.
        observer: Told how it goes on.

    Returns:
        What was found.

    Raises:
        DataError: The folder cannot be used.
        TuningError: No trial came to a result.
    """
    settings = request.settings
    folders = read_folders(directory, settings.val_dir, settings.test_dir)
    # The workers load TensorFlow, too, and may as well begin.
    with request.open_pool(observer) as pool:
        observer.loading()
        from imgclf.tuning.study_run import tune_folder

        return tune_folder(directory, folders, request, pool, observer)
