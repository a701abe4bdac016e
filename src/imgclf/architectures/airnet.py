"""A plain convolutional network that learns as much as it can in a few epochs.

Source: K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024, arXiv:2404.00498,
section 3): a whitening first layer, three blocks of two convolutions with pooling *before* batch
normalisation, GELU, convolutions that begin as the identity, and a head whose outputs are scaled
down. There the whitening comes from the eigenvectors of the data's own 2x2 patches; here it is the
Haar basis times opponent colours, scaled by what these components measure in photographs, so the
network is a function of its options alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from imgclf.architectures import _blocks
from imgclf.options import Choice, Float, Int

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

HAAR = ((1, 1, 1, 1), (1, -1, 1, -1), (1, 1, -1, -1), (1, -1, -1, 1))
"""Brightness, horizontal, vertical and diagonal differences of a 2x2 patch, times 2."""

OPPONENT = ((0.577, 0.577, 0.577), (0.707, 0.0, -0.707), (0.408, -0.816, 0.408))
"""Luminance, red against blue, green against both: what is left of correlations between colours."""

DEVIATIONS = (
    (0.800, 0.225, 0.103), (0.147, 0.016, 0.010), (0.158, 0.019, 0.011), (0.059, 0.004, 0.003),
)  # fmt: skip
"""Standard deviations of these 4 x 3 components over 5,000 photographs of CIFAR-10, with pixels
from 0 to 1; the components correlate by 0.11 at the most."""

NOISE = 0.02
"""Added to each deviation, so that the weakest components are not mostly compression noise."""


def airnet(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: Annotated[int, Int(8, 256, search=[16, 32, 64])] = 32,
    convolutions: Annotated[int, Int(2, 3)] = 2,
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.0,
    activation: Annotated[Literal["gelu", "relu"], Choice(search=["gelu", "relu"])] = "gelu",
) -> keras.Model:
    """Three wide blocks behind a whitening layer: the most accuracy in a few epochs at 32 pixels.

    Args:
        input_shape: ``(height, width, channels)``.
        num_classes: 2 or more.
        filters: Filters of the first block; the others have 4 times as many.
        convolutions: Of each block: 2 as in airbench94, or 3 with a shortcut around the last two as
            in airbench96, which learns more from as many passes.
        dropout: Share of features silenced in training, before the head; the source has none.
        activation: Activation after each batch normalisation.

    Returns:
        The uncompiled network.
    """
    import keras

    image, features = _blocks.image_input(input_shape)
    shrink = 1
    while min(input_shape[:2]) // shrink >= _blocks.LARGEST_STEM_MAP:
        shrink *= 2
    if shrink > 1:
        features = keras.layers.AveragePooling2D(shrink, name="shrink")(features)
    whitening = _whitening(input_shape[2])
    features = keras.layers.Conv2D(
        whitening.shape[-1],
        2,
        kernel_initializer=keras.initializers.Constant(whitening),
        name="whiten",
    )(features)
    features = keras.layers.Activation(activation, name="whiten_activation")(features)
    shortcut = features
    for block, width in enumerate((1, 4, 4), start=1):
        for number in range(1, convolutions + 1):
            name = f"block{block}_{number}"
            features = _identity_convolution(features, width * filters, f"{name}_conv")
            if number == 1:
                features = keras.layers.MaxPooling2D(2, name=f"block{block}_pooling")(features)
            features = _blocks.normalise(features, f"{name}_norm")
            if number == 3:
                features = keras.layers.Add(name=f"block{block}_add")([features, shortcut])
            features = keras.layers.Activation(activation, name=f"{name}_activation")(features)
            if number == 1:
                shortcut = features
    features = _blocks.global_pooling(features, "max")
    features = keras.layers.Dropout(dropout, name="dropout")(features)
    return _blocks.classifier(image, features, num_classes, "airnet", head_variance=0.01)


def _identity_convolution(
    features: keras.KerasTensor, filters: int, name: str
) -> keras.KerasTensor:
    """Convolve with kernels of which the first ones pass their input on (Jordan 2024)."""
    import keras

    from imgclf.architectures._initializers import PassOnHeNormal

    initializer = PassOnHeNormal()
    return keras.layers.Conv2D(
        filters, 3, padding="same", use_bias=False, kernel_initializer=initializer, name=name
    )(features)


def _whitening(channels: int) -> NDArray[np.float32]:
    """Return the fixed first filters, each with its negative; ``(2, 2, channels, filters)``."""
    import numpy as np

    colours = np.array(OPPONENT)[:channels] if channels > 1 else np.ones((1, 1))
    patches = np.array(HAAR).reshape(4, 2, 2) / 2
    deviations = np.array(DEVIATIONS)[:, :channels] + NOISE
    filters = np.einsum("pyx,kc,pk->yxcpk", patches, colours, 1 / deviations)
    filters = filters.reshape(2, 2, channels, -1)
    return np.concatenate([filters, -filters], axis=-1).astype("float32")
