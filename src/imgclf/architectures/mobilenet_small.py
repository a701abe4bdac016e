"""A small network of depthwise separable convolutions.

Source: Howard et al. 2017, "MobileNets" (arXiv:1704.04861), table 1: blocks of a 3x3 depthwise and
a 1x1 convolution, each with batch normalisation. Smaller than the paper's: the stem keeps small
pictures whole instead of halving them, the five equal blocks in the middle are an option, and the
second of the two widest blocks is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from imgclf.architectures import _blocks
from imgclf.options import Float, Int

if TYPE_CHECKING:
    import keras


def mobilenet_small(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: Annotated[int, Int(4, 64, search=[8, 16, 24])] = 16,
    middle_blocks: Annotated[int, Int(0, 5)] = 1,
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.2,
    activation: Literal["relu", "relu6", "silu"] = "relu",
) -> keras.Model:
    """Depthwise separable convolutions: the fewest operations per image, for slow machines.

    For any size; at home between 32 and 224 pixels a side.

    Args:
        input_shape: ``(height, width, channels)``.
        num_classes: 2 or more.
        filters: Filters of the stem; the last block has 32 times as many. The paper's full width
            is 32.
        middle_blocks: Equal blocks at 16 times `filters`; the paper has 5.
        dropout: Share of features silenced in training, before the head.
        activation: Activation after each batch normalisation.

    Returns:
        The uncompiled network.
    """
    import keras

    image, features = _blocks.image_input(input_shape)
    features = _blocks.stem(features, min(input_shape[:2]), filters, activation)
    # (filters in multiples of the stem's, strides), as in the paper's table 1.
    table = [(2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * middle_blocks, (32, 2)]
    for block, (width, strides) in enumerate(table, start=1):
        features = _separable(features, width * filters, strides, activation, f"block{block}")
    features = _blocks.global_pooling(features, "avg")
    features = keras.layers.Dropout(dropout, name="dropout")(features)
    return _blocks.classifier(image, features, num_classes, "mobilenet_small")


def _separable(
    features: keras.KerasTensor, filters: int, strides: int, activation: str, name: str
) -> keras.KerasTensor:
    """Filter each map by itself, then mix the maps pixel by pixel (figure 3 of the paper)."""
    import keras

    features = keras.layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise_conv",
    )(features)
    features = _blocks.normalise_and_activate(features, activation, f"{name}_depthwise")
    features = _blocks.convolution(features, filters, f"{name}_conv", kernel=1)
    return _blocks.normalise_and_activate(features, activation, name)
