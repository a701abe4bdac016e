"""Fast kernels for the layers of a network while it is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from imgclf.training.kernels.depthwise import depthwise_gradients
from imgclf.training.kernels.gelu import fused_gelu
from imgclf.training.kernels.normalisation import fused_normalisation
from imgclf.training.kernels.pointwise import pointwise_products

__all__ = ["fast_kernels"]


@contextmanager
def fast_kernels(model: keras.Model, num_steps: float | None) -> Iterator[None]:
    """Train a network with fast kernels where they pay off; on exit it is Keras' own again.

    Results differ from Keras' own only in the last digits.

    Args:
        model: A built network.
        num_steps: Steps of the training, ``math.inf`` for a long one, None if unknown. Kernels
            that must be compiled first are left out of short trainings.

    Example:
        >>> with fast_kernels(model, num_steps=1_000):      # doctest: +SKIP
        ...     model.fit(batches, epochs=10)
    """
    with (
        fused_normalisation(model),
        fused_gelu(model, num_steps),
        pointwise_products(model),
        depthwise_gradients(model),
    ):
        yield
