"""The template of a new plugin: a complete small package with one architecture."""

from __future__ import annotations

import keyword
import re
import shutil
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from imgclf.atomic import make_folder, write_text_atomically
from imgclf.errors import ArgumentError, WriteError
from imgclf.zoo.registry import find_architectures

if TYPE_CHECKING:
    import os

__all__ = ["write_plugin"]

TEMPLATES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "src/NAME/__init__.py": "__init__.py.txt",
    "src/NAME/architecture.py": "architecture.py.txt",
    "tests/test_NAME.py": "test.py.txt",
}
"""The files of a plugin, and their templates in `imgclf/conformance/plugin_template`."""


def write_plugin(name: str, directory: str | os.PathLike[str] | None = None) -> Path:
    """Write a complete package with one architecture: function, entry point, test, README.

    Args:
        name: The architecture's name, which is its package's and its function's name as well.
        directory: The new package's folder; None makes one called `name` in the current folder.

    Returns:
        The folder.

    Raises:
        ArgumentError: The name cannot be one of a Python function or is installed already, or
            the folder exists already.
        WriteError: The folder cannot be written; nothing is left of it.

    Example:
        >>> import tempfile
        >>> folder = write_plugin("my_first_net", tempfile.mkdtemp() + "/net")
        >>> sorted(path.name for path in folder.iterdir())
        ['README.md', 'pyproject.toml', 'src', 'tests']
    """
    folder = Path(directory if directory is not None else name)
    _require_free(name, folder)
    template = files("imgclf.conformance") / "plugin_template"
    try:
        for target, source in TEMPLATES.items():
            text = (template / source).read_text(encoding="utf-8")
            text = text.replace("NAME", name).replace("DISTRIBUTION", name.replace("_", "-"))
            path = folder / target.replace("NAME", name)
            make_folder(path.parent)
            write_text_atomically(path, text, synced=False)
    except WriteError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _require_free(name: str, folder: Path) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ArgumentError(
            f"The name {name!r} is not accepted: give small letters, digits and underscores, "
            "a letter first, as in my_net."
        )
    if name in find_architectures():
        raise ArgumentError(f"An architecture {name!r} is installed already: give another name.")
    if folder.exists():
        raise ArgumentError(f"{folder} exists already: give another --dir.")
