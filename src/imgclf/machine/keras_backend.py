"""The backend of Keras, told without importing it: the import of another one may fail."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from imgclf.errors import BackendError

__all__ = ["chosen_backend", "require_tensorflow"]

NEEDED = "tensorflow"


def chosen_backend() -> str:
    """Return the backend that Keras runs on, or will run on.

    ``KERAS_BACKEND`` counts more than the user's keras.json (Keras' documentation, "Configuring
    your backend").
    """
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "backend"):
        return str(keras.backend.backend())
    if variable := os.environ.get("KERAS_BACKEND"):
        return variable
    folder = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    with contextlib.suppress(OSError, ValueError, AttributeError):  # As Keras does.
        written = json.loads((folder / "keras.json").read_text(encoding="utf-8"))
        return str(written.get("backend", NEEDED))
    return NEEDED


def require_tensorflow() -> None:
    """Refuse any other backend.

    Raises:
        BackendError: Keras runs on another one, or will.
    """
    backend = chosen_backend()
    if backend != NEEDED:
        raise BackendError(
            f"Keras runs on the backend {backend!r}; imgclf needs {NEEDED!r}: "
            f"set KERAS_BACKEND={NEEDED} before Keras is imported."
        )
