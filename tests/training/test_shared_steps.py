"""Steps that two real processes take together, in a network that has nothing but loopback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import shared_worker
from imgclf.errors import ArgumentError
from imgclf.training.kernels.shared_normalisation import shared_normalisation

SCRIPT = Path(shared_worker.__file__)
ADDRESSES = "127.0.0.1:4711,127.0.0.1:4712"
WAIT_S = 180


def test_two_workers_learn_what_one_process_learns(
    loopback_network: Any, two_classes: Path, tmp_path: Path
) -> None:
    """Two processes have the weights and figures of one after 24 steps of SGD, to five digits."""
    command = [*loopback_network.enter, sys.executable, str(SCRIPT), ADDRESSES]
    processes = [
        subprocess.Popen(
            [*command, str(index), str(two_classes), str(tmp_path / f"{index}.npz")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for index in range(2)
    ]  # fmt: skip
    try:
        shared_worker.train_small(str(two_classes), str(tmp_path / "one.npz"), [], 0)
        for process in processes:
            printed, _ = process.communicate(timeout=WAIT_S)
            assert process.returncode == 0, printed
    finally:
        for process in processes:
            process.kill()
    one, first, second = (np.load(tmp_path / f"{name}.npz") for name in ("one", "0", "1"))
    for name in one.files:
        np.testing.assert_array_equal(first[name], second[name])
        # Batch normalisation amplifies rounding; with statistics of their own the workers' weights
        # would differ in the second digit.
        tolerance = 1e-5 if name.startswith("plain") else 1e-4
        np.testing.assert_allclose(first[name], one[name], rtol=0, atol=tolerance, err_msg=name)


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
