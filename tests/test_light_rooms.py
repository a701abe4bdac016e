"""Light rooms load nothing heavy: `--help`, completion and listings answer in a moment."""

from __future__ import annotations

import subprocess
import sys

LIGHT_ROOMS = (
    "imgclf",
    "imgclf.arguments",
    "imgclf.cli.main",
    "imgclf.clusters.connection",
    "imgclf.architectures.airnet",
    "imgclf.architectures.efficientnet_lite",
    "imgclf.architectures.three_conv",
    "imgclf.conformance.template",
    "imgclf.data.reading.layout",
    "imgclf.doctor.diagnosis",
    "imgclf.engines.network_store",
    "imgclf.machine.hardware",
    "imgclf.machine.plain_text",
    "imgclf.runs.config",
    "imgclf.runs.folder",
    "imgclf.exports.formats",
    "imgclf.runs.keywords",
    "imgclf.runs.phases",
    "imgclf.runs.settings",
    "imgclf.tuning.space",
    "imgclf.zoo.builder",
    "imgclf.zoo.contract",
    "imgclf.zoo.registry",
    "imgclf.zoo.travelling",
)
HEAVY = ("tensorflow", "keras", "keras_tuner", "numpy", "PIL", "cv2", "ray")


def test_light_rooms_load_nothing_heavy() -> None:
    """Importing each of them leaves TensorFlow, Keras, NumPy, Pillow and OpenCV alone."""
    script = (
        "import importlib, sys\n"
        f"for room in {LIGHT_ROOMS!r}:\n"
        "    loaded = importlib.import_module(room)\n"
        "    getattr(loaded, 'make_app', list)()  # the command line imports its verbs then\n"
        f"    loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    assert not loaded, (room, loaded)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
