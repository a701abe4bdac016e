"""Patches that are mixed by convolutions.

Source: Trockman and Kolter 2022, "Patches Are All You Need?" (arXiv:2201.09792): one patch
embedding, then `depth` times a depthwise convolution with a shortcut and a 1x1 convolution, each
followed by GELU and batch normalisation, all at one resolution. The paper's network for CIFAR-10
has 256 filters and 8 blocks; the defaults here suit a CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from imgclf.architectures import _blocks
from imgclf.options import Choice, Float, Int

if TYPE_CHECKING:
    import keras


def convmixer(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: Annotated[int, Int(8, 768, search=[48, 64, 96])] = 64,
    depth: Annotated[int, Int(1, 32, search=[4, 6, 8])] = 6,
    kernel: Annotated[Literal[3, 5, 7, 9], Choice(search=[3, 5, 7])] = 5,
    patch: Annotated[int, Int(1, 32)] = 4,
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.0,
    activation: Literal["gelu", "relu"] = "gelu",
) -> keras.Model:
    """Patches mixed by convolutions at one resolution: a small, modern all-rounder.

    From one patch a side, 4 pixels by default; at home between 28 and 96 with patches of 4.

    Args:
        input_shape: ``(height, width, channels)``.
        num_classes: 2 or more.
        filters: Filters of every layer.
        depth: Number of blocks.
        kernel: Side of the depthwise convolutions, in patches.
        patch: Side of a patch, in pixels; double it with the size of the image.
        dropout: Share of features silenced in training, before the head.
        activation: Activation after each convolution.

    Returns:
        The uncompiled network.
    """
    import keras

    image, features = _blocks.image_input(input_shape)
    features = keras.layers.Conv2D(filters, patch, strides=patch, name="patches_conv")(features)
    features = _activate_and_normalise(features, activation, "patches")
    for block in range(1, depth + 1):
        name = f"block{block}"
        mixed = keras.layers.DepthwiseConv2D(kernel, padding="same", name=f"{name}_depthwise_conv")
        shortcut, features = features, mixed(features)
        features = _activate_and_normalise(features, activation, f"{name}_depthwise")
        features = keras.layers.Add(name=f"{name}_add")([shortcut, features])
        features = keras.layers.Conv2D(filters, 1, name=f"{name}_conv")(features)
        features = _activate_and_normalise(features, activation, name)
    features = _blocks.global_pooling(features, "avg")
    features = keras.layers.Dropout(dropout, name="dropout")(features)
    return _blocks.classifier(image, features, num_classes, "convmixer")


def _activate_and_normalise(
    features: keras.KerasTensor, activation: str, name: str
) -> keras.KerasTensor:
    """Activate first and normalise then, as this paper does."""
    import keras

    features = keras.layers.Activation(activation, name=f"{name}_activation")(features)
    return _blocks.normalise(features, f"{name}_norm")
