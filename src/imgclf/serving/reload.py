"""Changed files are loaded again, while the classifiers before go on answering."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Literal

from imgclf.errors import ImgclfError
from imgclf.machine.memory import release_memory
from imgclf.serving.served import FileStamp, Served, load_served, read_stamp
from imgclf.serving.served_classifiers import ServedClassifiers

__all__ = ["Outcome", "watch_files"]

Outcome = Literal["loaded", "failed"]

POLL_S = 0.5

_logger = logging.getLogger(__name__)


def watch_files(
    classifiers: ServedClassifiers, concurrency: int, on_reload: Callable[[str, Outcome], None]
) -> None:
    """Load changed files again from now on, in a thread that ends with the classifiers.

    A file is read when it has been the same for `POLL_S`. One that cannot be used is named in a log
    warning, and the classifier before goes on answering.

    Args:
        classifiers: Those with a file are watched.
        concurrency: As for `load_served`.
        on_reload: Is told the name of each, and what became of it.
    """
    if all(served.path is None for served in classifiers):
        return
    reference = weakref.ref(classifiers)
    tried: dict[str, FileStamp | None] = {served.name: served.stamp for served in classifiers}

    def watch() -> None:
        before = dict(tried)
        while (watched := reference()) is not None:
            for served in watched:
                if served.path is None:
                    continue
                stamp = read_stamp(served.path)
                if stamp != tried[served.name] and stamp == before[served.name]:
                    tried[served.name] = stamp
                    on_reload(served.name, _reload(watched, served, concurrency))
                before[served.name] = stamp
            del watched
            time.sleep(POLL_S)

    threading.Thread(target=watch, name="imgclf-reload", daemon=True).start()


def _reload(classifiers: ServedClassifiers, served: Served, concurrency: int) -> Outcome:
    """Load a file again, and let it answer."""
    assert served.path is not None
    try:
        loaded = load_served(served.name, served.path, concurrency, served.engine)
    except ImgclfError as error:
        _logger.warning("%s Version %s still answers.", error, served.version)
        return "failed"
    classifiers.replace(loaded)
    release_memory()  # What was read, and verified.
    _logger.warning("%s was loaded again: %s.", served.path, loaded.version)
    return "loaded"
