"""A plugin that is installed for real, with options of its own and ways to fail."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from forked_python import ForkedPython

PLUGIN = '''
from typing import Annotated, Literal
import os
from imgclf.options import Choice, Int

def shaky(input_shape, num_classes, *,
          width: Annotated[int, Int(1, 64, search=[2, 4])] = 4,
          fault: Literal["none", "raise", "memory", "nan", "abort"] = "none",
          bias: Annotated[bool, Choice(search=[True, False])] = True):
    """A tiny network that fails on demand."""
    import keras
    import numpy as np
    if fault == "raise":
        raise RuntimeError(f"width {width} does not please me")
    if fault == "memory":
        np.ones(1 << 45)
    if fault == "abort":
        os.abort()
    image = keras.Input(input_shape, dtype="uint8", name="image")
    features = keras.layers.Rescaling(1 / 255)(image)
    features = keras.layers.GlobalAveragePooling2D()(features)
    features = keras.layers.Dense(width, use_bias=bias, activation="relu", name="hidden")(features)
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    bad = keras.initializers.Constant(float("nan"))
    start = bad if fault == "nan" else "zeros"
    head = keras.layers.Dense(units, activation=activation, bias_initializer=start, name="head")
    return keras.Model(image, head(features), name="shaky")
'''

OTHER_PLUGIN = '''
from typing import Annotated
from imgclf.options import Int

def other(input_shape, num_classes, *, depth: Annotated[int, Int(1, 3, search=[1, 2])] = 1):
    """Another tiny network, with another option."""
    from shaky_plugin import shaky

    return shaky(input_shape, num_classes, width=depth)
'''


@pytest.fixture(scope="session")
def plugin_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install two distributions with an architecture each, as pip would."""
    folder = tmp_path_factory.mktemp("site")
    for name, code in (("shaky", PLUGIN), ("other", OTHER_PLUGIN)):
        (folder / f"{name}_plugin.py").write_text(code)
        metadata = folder / f"{name}_plugin-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n"
        )
        (metadata / "entry_points.txt").write_text(
            f"[imgclf.architectures]\n{name} = {name}_plugin:{name}\n"
        )
    return folder


@pytest.fixture(scope="session")
def plugin(plugin_path: Path) -> Iterator[str]:
    """Put the plugin on the path of this process; the trials' processes inherit it."""
    sys.path.insert(0, str(plugin_path))
    importlib.invalidate_caches()
    yield "shaky"
    sys.path.remove(str(plugin_path))


@pytest.fixture(scope="session")
def batches(two_classes: Path) -> tuple[Any, Any]:
    """Return training and validation batches of the small folder."""
    from imgclf import make_generators

    return make_generators(two_classes, image_size=(24, 24), batch_size=16, augment="none")


@pytest.fixture(scope="session")
def trial_server(plugin: str, forked_python: ForkedPython) -> Iterator[Any]:
    """Start one server process for trials, which the searches of many tests share."""
    from imgclf.tuning.local_workers import LocalWorkers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", forked_python.executable)
        pool = LocalWorkers(1).__enter__()
    yield pool
    pool.__exit__()


@pytest.fixture
def forked_servers(forked_python: ForkedPython, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server processes of a test's own searches begin with TensorFlow imported."""
    monkeypatch.setattr(sys, "executable", forked_python.executable)


@pytest.fixture
def one_server(trial_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the searches of a test share the server process."""
    from imgclf.tuning import pool

    monkeypatch.setattr(pool, "LocalWorkers", lambda _count: nullcontext(trial_server))


@pytest.fixture(scope="session")
def command_env(plugin_path: Path) -> dict[str, str]:
    """Return the environment in which the command finds the plugin."""
    paths = [str(plugin_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture
def task(batches: Any, plugin: str, tmp_path: Path) -> Any:
    """Return trial 7 of a study that exists."""
    from imgclf.runs.resolution import resolve_settings
    from imgclf.runs.settings import Settings
    from imgclf.tuning.candidates import default_candidate
    from imgclf.tuning.tasks import TrialTask
    from imgclf.tuning.trial_settings import TrialSettings

    for name in ("bundles", "logs"):
        (tmp_path / name).mkdir()
    (tmp_path / "study.json").write_text("{}")
    training = resolve_settings(Settings(epochs=2, optimizer="adam", learning_rate=1e-3), 100)
    settings, plan = TrialSettings(training), batches[0].plan
    candidate = default_candidate(plugin, plan, settings)
    bundle, log = tmp_path / "bundles" / "0007.imgclf", tmp_path / "logs" / "0007.txt"
    return TrialTask(plan, candidate, settings, str(bundle), str(log))
