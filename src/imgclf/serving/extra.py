"""The packages that serving needs beside those of imgclf."""

from __future__ import annotations

from importlib.util import find_spec

from imgclf.errors import ServingError

__all__ = ["require_extra"]

MODULES = ("starlette", "uvicorn", "python_multipart", "prometheus_client")


def require_extra() -> None:
    """Say what to install where a package is missing.

    Raises:
        ServingError: One is.
    """
    for name in MODULES:
        if find_spec(name) is None:
            raise ServingError(
                f"Serving needs more packages ({name} is missing): pip install 'imgclf[serve]'."
            )
