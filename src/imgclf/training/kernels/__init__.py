"""How the layers of a network compute while it is trained: `fast_kernels` is the door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imgclf.training.kernels.gelu import fused_gelu
from imgclf.training.kernels.normalisation import fused_normalisation

if TYPE_CHECKING:
    import keras

__all__ = ["fast_kernels"]


@contextmanager
def fast_kernels(model: keras.Model, num_steps: float | None) -> Iterator[None]:
    """Let the layers of a network compute faster for a while; afterwards they are Keras' own.

    Batch normalisation runs in TensorFlow's fused kernel and, in long trainings on a CPU, GELU in
    one compiled loop. The results differ in the last digit of float32.

    Args:
        model: A built network.
        num_steps: Steps of the training, which decide whether compiling is worth it; None if
            unknown.
    """
    with fused_normalisation(model), fused_gelu(model, num_steps):
        yield
