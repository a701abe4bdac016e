"""Initializers of the zoo, registered with Keras, so that Keras' files and copies know them.

Keras is imported at the top: architectures import this inside their functions.
"""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["CentredHeNormal", "PassOnHeNormal"]


@keras.saving.register_keras_serializable("imgclf")
class CentredHeNormal(keras.initializers.HeNormal):
    """He's initial weights (2015, arXiv:1502.01852), less the mean of each kernel.

    Pixels and what ReLU leaves are all positive: with weights that do not sum to zero every output
    is mostly brightness, which photographs have in common. Without normalisation `three_conv` then
    stayed at chance, for all of 25 epochs on a thousand photos with one seed of three.
    """

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return a kernel ``(height, width, inputs, outputs)``."""
        kernel = super().__call__(shape, dtype)
        return kernel - keras.ops.mean(kernel, axis=(0, 1, 2), keepdims=True)


@keras.saving.register_keras_serializable("imgclf")
class PassOnHeNormal(keras.initializers.HeNormal):
    """He's initial weights, of which the first kernels pass their input on (Jordan 2024)."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return a kernel ``(height, width, inputs, outputs)``."""
        height, width, inputs, outputs = shape
        count = min(inputs, outputs)
        centre = keras.ops.one_hot([height // 2 * width + width // 2], height * width)
        identity = keras.ops.reshape(centre, (height, width, 1, 1)) * keras.ops.eye(inputs, count)
        kernel = super().__call__(shape, dtype)
        return keras.ops.concatenate(
            [keras.ops.cast(identity, kernel.dtype), kernel[..., count:]], -1
        )
