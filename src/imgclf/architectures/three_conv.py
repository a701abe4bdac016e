"""The recipe's network: three blocks of convolution, ReLU and pooling, then dense layers.

Source: F. Chollet, "Building powerful image classification models using very little data", Keras
blog, June 2016: 32, 32 and 64 filters of 3x3 without padding, 2x2 max pooling, 64 hidden units,
dropout 0.5. The beginner's recipe that imgclf grew from has two hidden layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from imgclf.architectures import _blocks
from imgclf.options import Choice, Float, Int

if TYPE_CHECKING:
    import keras

Filters = Annotated[int, Int(8, 256, search=[16, 32, 48, 64])]
Pooling = Annotated[Literal["max", "avg"], Choice(search=["max", "avg"])]
HiddenUnits = Annotated[int, Int(8, 2048)]
Dropout = Annotated[float, Float(0.0, 0.9)]
Activation = Literal["relu", "gelu", "sigmoid"]


def three_conv(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: Filters = 32,
    pooling: Pooling = "max",
    hidden_units: HiddenUnits = 64,
    dropout: Dropout = 0.5,
    activation: Activation = "relu",
) -> keras.Model:
    """Three convolution blocks and two hidden layers: a baseline that is easy to understand.

    Small; from 22 pixels a side. The blocks have `filters`, `filters` and
    2 x `filters` filters.

    Args:
        input_shape: ``(height, width, channels)``.
        num_classes: 2 or more.
        filters: Filters of the first two blocks; the third has twice as many.
        pooling: 2x2 pooling after each convolution.
        hidden_units: Units of each of the two hidden layers.
        dropout: Share of hidden units silenced in training, before the head.
        activation: Activation of convolutions and hidden layers.

    Returns:
        The uncompiled network.
    """
    return _build(
        "three_conv", 2, input_shape, num_classes, filters, pooling, hidden_units, dropout,
        activation,
    )  # fmt: skip


def one_hidden(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: Filters = 32,
    pooling: Pooling = "max",
    hidden_units: HiddenUnits = 64,
    dropout: Dropout = 0.5,
    activation: Activation = "relu",
) -> keras.Model:
    """Three convolution blocks and one hidden layer: three_conv, a little simpler.

    The same features as `three_conv`; from 22 pixels a side.

    Args:
        input_shape: ``(height, width, channels)``.
        num_classes: 2 or more.
        filters: Filters of the first two blocks; the third has twice as many.
        pooling: 2x2 pooling after each convolution.
        hidden_units: Units of the hidden layer.
        dropout: Share of hidden units silenced in training, before the head.
        activation: Activation of convolutions and hidden layer.

    Returns:
        The uncompiled network.
    """
    return _build(
        "one_hidden", 1, input_shape, num_classes, filters, pooling, hidden_units, dropout,
        activation,
    )  # fmt: skip


def _build(
    name: str,
    num_hidden: int,
    input_shape: tuple[int, int, int],
    num_classes: int,
    filters: int,
    pooling: _blocks.Pooling,
    hidden_units: int,
    dropout: float,
    activation: str,
) -> keras.Model:
    import keras

    from imgclf.architectures._initializers import CentredHeNormal

    image, features = _blocks.image_input(input_shape)
    for block, block_filters in enumerate((filters, filters, 2 * filters), start=1):
        features = keras.layers.Conv2D(
            block_filters, 3, kernel_initializer=CentredHeNormal(), name=f"block{block}_conv"
        )(features)
        features = _blocks.activate_and_pool(features, activation, pooling, f"block{block}")
    features = keras.layers.Flatten(name="flatten")(features)
    features = _blocks.hidden_layers(features, num_hidden, hidden_units, activation, dropout)
    return _blocks.classifier(image, features, num_classes, name)
