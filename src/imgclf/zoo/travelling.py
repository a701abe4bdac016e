"""An architecture function that travels to another process: where it was found, never a pickle."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgclf.errors import ArgumentError, PluginError
from imgclf.zoo.isolation import isolated_import, load_function
from imgclf.zoo.registry import load_architecture

__all__ = ["TravellingFunction", "travelling_function"]


@dataclass(frozen=True, slots=True)
class TravellingFunction:
    """Where another process of this machine finds an architecture function.

    It is made in the process to which the user gave the function itself, and is sent by that
    process alone; it is never read from a file.

    Attributes:
        file: The file that holds the function.
        module: Name under which the module can be imported; empty for a file of no package.
        name: The function's name.
        source_sha256: Hash of the file.
    """

    file: str
    module: str
    name: str
    source_sha256: str

    def load(self) -> Callable[..., Any]:
        """Return the function; another process than the user's runs its file, once.

        Raises:
            PluginError: The file has changed, or cannot be imported.
        """
        if self not in _known:
            _known[self] = _load(self)
        return _known[self]


_known: dict[TravellingFunction, Callable[..., Any]] = {}
"""The functions that this process was given, or has loaded."""


def _load(place: TravellingFunction) -> Callable[..., Any]:
    if place.module:
        with isolated_import(place.file):
            function: Callable[..., Any] = getattr(
                importlib.import_module(place.module), place.name
            )
    else:
        function = load_function(Path(place.file), place.name)
    if load_architecture(function).source_sha256 != place.source_sha256:
        raise PluginError(
            f"The file {place.file} has changed since the search began: restore it, or search anew."
        )
    return function


def travelling_function(function: Callable[..., Any]) -> TravellingFunction:
    """Say where other processes find an architecture function.

    Args:
        function: The function.

    Returns:
        The place.

    Raises:
        ArgumentError: No other process could find it: it is no function at the top level of a file,
            or its file is the script that runs.
    """
    loaded = load_architecture(function)
    name = getattr(function, "__qualname__", "")
    file = inspect.getsourcefile(function) if inspect.isfunction(function) else None
    remedy = (
        "put it at the top level of a file of its own and import it from there, or make it a "
        "package: imgclf architectures new"
    )
    if file is None or not name.isidentifier() or loaded.source_sha256 is None:
        raise ArgumentError(
            f"The architecture function {loaded.name!r} cannot be searched, because the trials' "
            f"processes cannot find it: {remedy}."
        )
    if function.__module__ == "__main__":
        raise ArgumentError(
            f"The architecture function {loaded.name!r} cannot be searched, because its file is "
            f"the script that runs, which each trial would run again: {remedy}."
        )
    module = function.__module__ if _is_importable(function.__module__, file) else ""
    place = TravellingFunction(str(Path(file).absolute()), module, name, loaded.source_sha256)
    _known[place] = function
    return place


def _is_importable(module: str, file: str) -> bool:
    """Tell whether an import by name finds this file."""
    # `find_spec` believes `sys.modules`, which another process has not.
    if importlib.machinery.PathFinder.find_spec(module.partition(".")[0]) is None:
        return False
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin) == Path(file)
