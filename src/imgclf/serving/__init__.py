"""Serving classifiers over HTTP: an application that other programs can run or mount."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgclf.serving.server_application import application

__all__ = ["application"]


def __getattr__(name: str) -> Any:
    """Import the application when it is first used: its room is heavy, and needs an extra."""
    if name != "application":
        raise AttributeError(f"module 'imgclf.serving' has no attribute {name!r}")
    from imgclf.serving.extra import require_extra

    require_extra()
    from imgclf.serving.server_application import application

    return application
