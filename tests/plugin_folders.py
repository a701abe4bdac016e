"""Real installed distributions for tests: a dist-info folder and a module on the path."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SOUND_PLUGIN = '''
from typing import Annotated
from imgclf.options import Int

def {name}(input_shape, num_classes, *, units: Annotated[int, Int(2, 64)] = 8):
    """A sound little network."""
    import keras
    image = keras.Input(input_shape, dtype="uint8", name="image")
    features = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    features = keras.layers.Conv2D(units, 3, strides=2, name="conv")(features)
    features = keras.layers.GlobalAveragePooling2D(name="pooling")(features)
    head = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    output = keras.layers.Dense(head[0], activation=head[1], name="head")(features)
    return keras.Model(image, output)
'''
"""Source of a plugin that keeps the contract; ``{name}`` is the function's name."""


def install(
    folder: Path,
    distribution: str,
    source: str,
    *,
    version: str = "1.0",
    architectures: dict[str, str] | None = None,
) -> Path:
    """Write a distribution as pip leaves it behind: its module and its metadata.

    Args:
        folder: A folder that a test puts on ``sys.path``.
        distribution: The package's name; its module has the same name with underscores.
        source: The module's source.
        version: The package's version.
        architectures: Entry points, name -> function; the default is one named like the module.

    Returns:
        `folder`.
    """
    module = distribution.replace("-", "_")
    lines = architectures if architectures is not None else {module: module}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(source)
    metadata = folder / f"{module}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    )
    entries = "\n".join(f"{name} = {module}:{function}" for name, function in lines.items())
    (metadata / "entry_points.txt").write_text(f"[imgclf.architectures]\n{entries}\n")
    return folder


def run_python(code: str, *folders: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter with `folders` on its path; fail where it fails."""
    paths = os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
