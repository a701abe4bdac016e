"""One context manager gives a network its fast kernels and takes them back."""

from __future__ import annotations

import math

import keras
import pytest

import imgclf
from imgclf.training.kernels.fast_kernels import fast_kernels
from imgclf.training.kernels.gelu import FEWEST_STEPS


@pytest.fixture(scope="module")
def airnet() -> keras.Model:
    """Return a network with batch normalisation and GELU."""
    return imgclf.build_model("airnet", (16, 16, 3), 3, filters=8)


def replaced(model: keras.Model) -> set[type]:
    """Return the kinds of layers that compute by a fast kernel."""
    return {type(layer) for layer in model.layers if "call" in vars(layer)}


@pytest.mark.parametrize("num_steps", [math.inf, FEWEST_STEPS])
def test_a_long_training_gets_all_kernels(airnet: keras.Model, num_steps: float) -> None:
    """Normalisation and GELU compute by fast kernels within the block, and by Keras after it."""
    with fast_kernels(airnet, num_steps):
        assert replaced(airnet) == {keras.layers.BatchNormalization, keras.layers.Activation}
    assert replaced(airnet) == set()


@pytest.mark.parametrize("num_steps", [None, FEWEST_STEPS - 1])
def test_a_short_training_gets_no_compiled_kernel(
    airnet: keras.Model, num_steps: int | None
) -> None:
    """Where compiling takes longer than it saves, only the ready-made kernel is used."""
    with fast_kernels(airnet, num_steps):
        assert replaced(airnet) == {keras.layers.BatchNormalization}


def test_blocks_can_be_nested(airnet: keras.Model) -> None:
    """A short training within the block of a long one keeps the kernels of the long one."""
    with fast_kernels(airnet, math.inf):
        with fast_kernels(airnet, 2):
            assert keras.layers.Activation in replaced(airnet)
        assert keras.layers.Activation in replaced(airnet)
    assert replaced(airnet) == set()
