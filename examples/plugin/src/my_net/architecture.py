"""A small convolutional network: change it into your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from imgclf import Choice, Float, Int

if TYPE_CHECKING:
    import keras


def my_net(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: Annotated[int, Int(4, 256, search=[16, 32, 64])] = 16,
    pooling: Annotated[Literal["max", "avg"], Choice(search=["max", "avg"])] = "max",
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.2,
) -> keras.Model:
    """Two convolution blocks and global pooling: the first line is what listings show.

    Args:
        input_shape: ``(height, width, channels)``.
        num_classes: 2 or more.
        filters: Filters of the first block; the second has twice as many.
        pooling: 2x2 pooling after each convolution.
        dropout: Share of features silenced in training, before the head.

    Returns:
        The uncompiled network.
    """
    import keras  # here and not at the top: listing and checking options stays quick
    from keras import layers

    pool = layers.MaxPooling2D if pooling == "max" else layers.AveragePooling2D
    image = keras.Input(input_shape, dtype="uint8", name="image")
    features = layers.Rescaling(1 / 255, name="rescaling")(image)
    for block, width in enumerate((filters, 2 * filters), start=1):
        name = f"block{block}"
        features = layers.Conv2D(width, 3, use_bias=False, padding="same", name=f"{name}_conv")(
            features
        )
        features = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(features)
        features = layers.Activation("relu", name=f"{name}_activation")(features)
        features = pool(2, name=f"{name}_pooling")(features)
    features = layers.GlobalAveragePooling2D(name="global_pooling")(features)
    features = layers.Dropout(dropout, name="dropout")(features)
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    output = layers.Dense(units, activation=activation, name="head")(features)
    return keras.Model(image, output, name="my_net")
