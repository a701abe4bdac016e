"""The packages that serving needs beside those of imgclf."""

from __future__ import annotations

from importlib import import_module

from imgclf.errors import ServingError

__all__ = ["require_extra"]

MODULES = ("starlette", "uvicorn", "python_multipart", "prometheus_client")


def require_extra() -> None:
    """Say what to install where a package is missing.

    Raises:
        ServingError: One is.
    """
    for name in MODULES:
        try:
            import_module(name)
        except ImportError as error:
            raise ServingError(
                f"Serving needs more packages ({name} is missing): pip install 'imgclf[serve]'."
            ) from error
