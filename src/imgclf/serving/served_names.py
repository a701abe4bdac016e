"""The names under which classifiers are served."""

from __future__ import annotations

import os
from pathlib import Path

from imgclf.runs.folder import BUNDLE_NAME

__all__ = ["default_name"]


def default_name(path: str | os.PathLike[str]) -> str:
    """Return the name under which a file is served: its own, or that of its run's folder.

    Args:
        path: The classifier's file.

    Returns:
        The name.

    Example:
        >>> default_name("pets.imgclf"), default_name("runs/cats/model.imgclf")
        ('pets', 'cats')
    """
    file = Path(path)
    return file.absolute().parent.name if file.name == BUNDLE_NAME else file.stem
