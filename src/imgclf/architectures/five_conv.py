"""Five convolution blocks with batch normalisation and global pooling.

A plain deep network in the manner of VGG (Simonyan and Zisserman 2014, arXiv:1409.1556): 3x3
convolutions, filters that double while the picture halves, with batch normalisation (Ioffe and
Szegedy 2015, arXiv:1502.03167) and global average pooling (Lin et al. 2013, arXiv:1312.4400)
instead of a large dense layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from imgclf.architectures import _blocks
from imgclf.options import Choice, Float, Int

if TYPE_CHECKING:
    import keras

WIDTHS = (1, 2, 4, 4, 8)
"""Filters of each block, in multiples of `filters`."""


def five_conv(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: Annotated[int, Int(4, 128, search=[16, 24, 32])] = 24,
    pooling: Annotated[Literal["max", "avg"], Choice(search=["max", "avg"])] = "max",
    hidden_units: Annotated[int, Int(8, 2048)] = 128,
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.3,
    activation: Literal["relu", "gelu", "sigmoid"] = "relu",
) -> keras.Model:
    """Five convolution blocks with batch normalisation: deeper, steadier to train.

    From 32 pixels a side; at home between 64 and 160.

    Args:
        input_shape: ``(height, width, channels)``.
        num_classes: 2 or more.
        filters: Filters of the first block; the others have 2, 4, 4 and 8 times as many.
        pooling: 2x2 pooling after each block.
        hidden_units: Units of the hidden layer.
        dropout: Share of hidden units silenced in training, before the head.
        activation: Activation of convolutions and hidden layer.

    Returns:
        The uncompiled network.
    """
    image, features = _blocks.image_input(input_shape)
    for block, width in enumerate(WIDTHS, start=1):
        features = _blocks.convolution(features, width * filters, f"block{block}_conv")
        features = _blocks.normalise(features, f"block{block}_norm")
        features = _blocks.activate_and_pool(features, activation, pooling, f"block{block}")
    features = _blocks.global_pooling(features, "avg")
    features = _blocks.hidden_layers(features, 1, hidden_units, activation, dropout)
    return _blocks.classifier(image, features, num_classes, "five_conv")
