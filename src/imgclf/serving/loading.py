"""Classifiers that are loaded while the rest of a server is imported."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from imgclf.engines.engine_names import EngineName
from imgclf.serving.served import Served, load_served

__all__ = ["Loading"]


class Loading:
    """Loads classifiers in a thread: hashing, and the first answers of a network, wait for nobody.

    Args:
        files: Their files, by name.
        concurrency: How many requests each answers at a time.
        engine: What answers, as for `imgclf.load`.
    """

    def __init__(
        self, files: Mapping[str, Path], concurrency: int, engine: EngineName = "auto"
    ) -> None:
        self._files, self._concurrency, self._engine = dict(files), concurrency, engine
        self._loaded: list[Served] = []
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="imgclf-load")
        self._thread.start()

    def result(self) -> list[Served]:
        """Wait for the classifiers.

        Raises:
            DataNotFoundError: A file does not exist.
            BundleError: A file cannot be used.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._loaded

    def _run(self) -> None:
        try:
            self._loaded = [
                load_served(name, file, self._concurrency, self._engine)
                for name, file in self._files.items()
            ]
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._error = error
