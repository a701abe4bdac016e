"""The reload of a saved network, in another process as users do."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.lazy_model import LazyModel
from imgclf.classifiers.loader import load
from imgclf.classifiers.record import ClassifierRecord
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import keras

__all__ = ["reload_bundle", "save_bundle"]

LOAD = """
import sys
from pathlib import Path
from imgclf import ImgclfError, load
from imgclf.zoo.isolation import load_function

path, *source = sys.argv[1:]
try:
    function = load_function(Path(source[0]), source[1]) if source else None
    load(path, architecture=function, engine="keras")
except ImgclfError as error:
    sys.exit(str(error))
"""
"""What the other process runs; loading runs the probe and compares its outputs."""


def save_bundle(model: keras.Model, path: Path) -> None:
    """Save a network that `imgclf.build_model` made as a bundle with invented class names.

    Args:
        model: A network for channels-last images.
        path: The file.
    """
    height, width, channels = model.input_shape[1:]
    num_classes = max(2, model.output_shape[-1])
    names = [f"class_{index}" for index in range(num_classes)]
    policy = InputPolicy((height, width), channels)
    record = ClassifierRecord(network=LazyModel(model), class_names=names, policy=policy)
    Classifier.of(record).save(path)


def reload_bundle(
    path: Path, architecture: str | Callable[..., keras.Model], *, fresh_process: bool
) -> None:
    """Load a bundle, which runs the images that it holds and compares the outputs.

    Args:
        path: The bundle.
        architecture: The installed name or the function that it was made from.
        fresh_process: Load it in another process. A function that is not at the top level of a
            file cannot be found from there; it is loaded in this one.

    Raises:
        BundleError: It cannot be loaded, or gives other outputs.
    """
    source = () if isinstance(architecture, str) else _source_of(architecture)
    if not fresh_process or source is None:
        function = None if isinstance(architecture, str) else architecture
        load(path, architecture=function, engine="keras")
        return
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        # -P: a json.py in the current folder must not be taken for Python's own.
        [sys.executable, "-P", "-c", LOAD, str(path), *source],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["the process ended without a message"]
        raise BundleError(f"A fresh process cannot load the classifier: {lines[-1]}")


def _source_of(function: Callable[..., keras.Model]) -> tuple[str, str] | None:
    """Return the file and the name of a function at the top level of a file."""
    name = getattr(function, "__qualname__", "")
    file = inspect.getsourcefile(function) if inspect.isfunction(function) else None
    return (file, name) if file and name.isidentifier() else None
