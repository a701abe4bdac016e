"""The isolated import of a plugin, which leaves nothing else changed."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgclf.errors import PluginError, UnknownArchitectureError, in_one_line
from imgclf.machine.startup import without_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["isolated_import", "load_function"]

_logger = logging.getLogger(__name__)


@contextlib.contextmanager
def isolated_import(culprit: str) -> Iterator[None]:
    """Undo a plugin's side effects on the process while it is imported, with a log warning.

    Its output is kept from standard output, where ``--json`` results go; Keras' global
    configuration (floatx, image data format, epsilon, dtype policy) and the state of `random` are
    restored. Keras is not imported for it.

    Args:
        culprit: The plugin's distribution and version, for the warning.

    Yields:
        Nothing; import the plugin inside.

    Example:
        >>> with isolated_import("pets 1.0"):
        ...     import colorsys
    """
    before = _keras_configuration() or _initial_keras_configuration()
    random_state = random.getstate()
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), without_notes():
            yield
    finally:
        random.setstate(random_state)
        changed = _restore_keras(before)
        if changed:
            _logger.warning(
                "%s changes Keras' global %s when it is imported; imgclf has put it back.",
                culprit,
                ", ".join(changed),
            )
        text = " ".join(printed.getvalue().split())
        if text:
            _logger.warning("%s prints when it is imported: %.200s", culprit, text)


def load_function(path: Path, name: str) -> Callable[..., Any]:
    """Import a Python file that belongs to no package and return one function of it.

    Args:
        path: The file.
        name: The function's name.

    Returns:
        The function.

    Raises:
        UnknownArchitectureError: The file does not exist or has no such function.
        PluginError: The file raises when it is imported.
    """
    if not path.is_file():
        raise UnknownArchitectureError(
            f"The file {path} does not exist: give path/to/file.py:function."
        )
    # A name of its own: a file called keras.py must not stand in for Keras.
    spec = importlib.util.spec_from_file_location(f"imgclf_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        with isolated_import(str(path)):
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # The file may even call sys.exit.
        del sys.modules[spec.name]
        raise PluginError(
            f"The file {path} cannot be imported ({in_one_line(error)}): repair it."
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise UnknownArchitectureError(
            f"The file {path} has no function {name!r}: give path/to/file.py:function."
        )
    return function  # type: ignore[no-any-return]


def _keras_configuration() -> dict[str, Any] | None:
    """Read Keras' global configuration; None where nothing has imported Keras yet."""
    keras = sys.modules.get("keras")
    if keras is None or not hasattr(keras, "config"):
        return None
    return {
        "floatx": keras.config.floatx(),
        "image_data_format": keras.config.image_data_format(),
        "epsilon": keras.config.epsilon(),
        "dtype_policy": keras.config.dtype_policy(),
    }


def _initial_keras_configuration() -> dict[str, Any]:
    """Return the configuration with which Keras will start, without importing it.

    Keras' own defaults, or what the user's keras.json says (Keras' documentation, "The Keras
    configuration file").
    """
    initial = {"floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7}
    folder = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    with contextlib.suppress(OSError, ValueError, AttributeError):
        written = json.loads((folder / "keras.json").read_text(encoding="utf-8"))
        initial |= {key: written.get(key, value) for key, value in initial.items()}
    return initial


def _restore_keras(before: dict[str, Any]) -> list[str]:
    """Restore Keras' configuration to `before`; list what differed."""
    after = _keras_configuration()
    if after is None:
        return []
    keras = sys.modules["keras"]
    before = {"dtype_policy": keras.DTypePolicy(before["floatx"]), **before}
    changed = [name for name in before if _comparable(before[name]) != _comparable(after[name])]
    for name in changed:
        getattr(keras.config, f"set_{name}")(before[name])
    return changed


def _comparable(value: Any) -> Any:
    """Return a policy's name, any other value itself."""
    return getattr(value, "name", value)
