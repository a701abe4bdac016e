"""Deep plain networks of 3x3 convolutions.

Source: Simonyan and Zisserman 2014 (arXiv:1409.1556), table 1, configurations A, B and D, with
batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167). Global average pooling (Lin et al.
2013, arXiv:1312.4400) and one small hidden layer stand in for the paper's two dense layers of
4,096 units, which need far more images than a folder holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from imgclf.architectures import _blocks
from imgclf.options import Choice, Float, Int

if TYPE_CHECKING:
    import keras

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3)}
"""Convolutions of each block, by the paper's number of layers with weights (table 1)."""

WIDTHS = (1, 2, 4, 8, 8)
"""Filters of each block, in multiples of `filters`; the paper's first block has 64 (table 1)."""


def vgg_bn(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    depth: Annotated[Literal[11, 13, 16], Choice(search=[11, 13])] = 11,
    filters: Annotated[int, Int(4, 128, search=[8, 16, 32])] = 16,
    pooling: Literal["max", "avg"] = "max",
    hidden_units: Annotated[int, Int(8, 2048)] = 128,
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.3,
    activation: Literal["relu", "gelu"] = "relu",
) -> keras.Model:
    """Plain convolutions, 8 to 13 deep: simple, steady and slow on large images.

    From 32 pixels a side; at home between 32 and 96.

    Args:
        input_shape: ``(height, width, channels)``.
        num_classes: 2 or more.
        depth: Layers with weights in the paper, which counts its three dense layers.
        filters: Filters of the first block; the others have 2, 4, 8 and 8 times as many.
        pooling: 2x2 pooling after each block.
        hidden_units: Units of the hidden layer.
        dropout: Share of hidden units silenced in training, before the head.
        activation: Activation of convolutions and hidden layer.

    Returns:
        The uncompiled network.
    """
    image, features = _blocks.image_input(input_shape)
    for block, (count, width) in enumerate(zip(CONVOLUTIONS[depth], WIDTHS, strict=True), start=1):
        for index in range(1, count + 1):
            name = f"block{block}_{index}"
            features = _blocks.convolution(features, width * filters, f"{name}_conv")
            if index < count:
                features = _blocks.normalise_and_activate(features, activation, name)
        features = _blocks.normalise(features, f"{name}_norm")
        features = _blocks.activate_and_pool(features, activation, pooling, name)
    features = _blocks.global_pooling(features, "avg")
    features = _blocks.hidden_layers(features, 1, hidden_units, activation, dropout)
    return _blocks.classifier(image, features, num_classes, "vgg_bn")
