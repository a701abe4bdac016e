"""Steps that two real processes take together, in a network that has nothing but loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import shared_worker
from forked_python import ForkedPython
from imgclf.errors import ArgumentError
from imgclf.training.kernels.shared_normalisation import shared_normalisation
from loopback_network import ENTER, LoopbackNetwork

SCRIPT = Path(shared_worker.__file__)
ADDRESSES = "127.0.0.1:4711,127.0.0.1:4712"
WAIT_S = 180


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """Return images of noise: on plain areas poolings tie, and rounding decides where it leads."""
    draw = np.random.default_rng(0)
    for name, count, darkest in (("dark", 60, 0), ("light", 40, 40)):
        folder = tmp_path / "noise" / name
        folder.mkdir(parents=True)
        for number in range(count):
            pixels = draw.integers(darkest, darkest + 216, (24, 24, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "noise"


def start_worker(network: LoopbackNetwork, python: ForkedPython, *arguments: object) -> Any:
    """Start a worker in the network; with TensorFlow imported, where root may enter it so."""
    if os.geteuid() == 0:
        code = f"{ENTER}import runpy\nrunpy.run_path(sys.argv.pop(1), run_name='__main__')"
        return python.start(code, network.namespace, SCRIPT, *arguments)
    return subprocess.Popen(
        [*network.enter, sys.executable, str(SCRIPT), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_two_workers_learn_what_one_process_learns(
    loopback_network: LoopbackNetwork, forked_python: ForkedPython, noise: Path, tmp_path: Path
) -> None:
    """Two processes have the weights of one after 21 steps, with batch normalisation, to 1e-5."""
    processes = [
        start_worker(
            loopback_network, forked_python, ADDRESSES, index, noise, tmp_path / f"{index}.npz"
        )
        for index in range(2)
    ]
    try:
        shared_worker.train_small(str(noise), str(tmp_path / "one.npz"), [], 0)
        for process in processes:
            printed = process.communicate(timeout=WAIT_S)
            assert process.returncode == 0, printed
    finally:
        for process in processes:
            process.kill()
    one, first, second = (np.load(tmp_path / f"{name}.npz") for name in ("one", "0", "1"))
    for name in one.files:
        np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_allclose(first[name], one[name], rtol=0, atol=1e-5, err_msg=name)


class _OwnNormalisation(keras.layers.BatchNormalization):
    """A layer of somebody else's."""


def test_unknown_normalisation_is_refused_by_name() -> None:
    """A layer whose statistics cannot be shared is named before the training begins."""
    model = keras.Sequential([keras.Input((4,)), _OwnNormalisation(name="whitening")])
    with (
        pytest.raises(ArgumentError, match="'whitening' \\(_OwnNormalisation\\)"),
        shared_normalisation(model, workers=None),  # type: ignore[arg-type]
    ):
        pass
