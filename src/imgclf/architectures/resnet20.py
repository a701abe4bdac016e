"""The residual network for small images.

Source: He et al. 2015 (arXiv:1512.03385), section 4.2: a first convolution, then three stages of n
blocks with 16, 32 and 64 filters, 6n + 2 layers in all; table 6 gives 91.25 % on CIFAR-10 for 20
layers. Where a stage halves the picture, its shortcut is a 1x1 convolution (the paper's option B),
since Keras has no layer that fills up filters with zeros (option A).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from imgclf.architectures import _blocks
from imgclf.options import Choice, Float, Int

if TYPE_CHECKING:
    import keras


def resnet20(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    depth: Annotated[Literal[20, 32, 44], Choice(search=[20, 32])] = 20,
    filters: Annotated[int, Int(4, 128, search=[8, 16, 32])] = 16,
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.0,
    activation: Literal["relu", "gelu"] = "relu",
) -> keras.Model:
    """Twenty thin residual layers: few parameters, for many small images and long trainings.

    For any size; at home between 24 and 64 pixels a side.

    Args:
        input_shape: ``(height, width, channels)``.
        num_classes: 2 or more.
        depth: Layers with weights; (depth - 2) / 6 blocks a stage.
        filters: Filters of the first stage; the others have 2 and 4 times as many.
        dropout: Share of features silenced in training, before the head; the paper has none.
        activation: Activation after each batch normalisation.

    Returns:
        The uncompiled network.
    """
    import keras

    image, features = _blocks.image_input(input_shape)
    features = _blocks.stem(features, min(input_shape[:2]), filters, activation)
    for stage, width in enumerate((1, 2, 4), start=1):
        for block in range(1, (depth - 2) // 6 + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}_block{block}"
            features = _residual(features, width * filters, strides, activation, name)
    features = _blocks.global_pooling(features, "avg")
    features = keras.layers.Dropout(dropout, name="dropout")(features)
    return _blocks.classifier(image, features, num_classes, "resnet20")


def _residual(
    features: keras.KerasTensor, filters: int, strides: int, activation: str, name: str
) -> keras.KerasTensor:
    """Add two convolutions to their own input, then activate (He et al. 2015, figure 2)."""
    import keras

    shortcut = features
    if strides > 1:
        shortcut = _blocks.convolution(
            features, filters, f"{name}_shortcut_conv", kernel=1, strides=strides
        )
        shortcut = _blocks.normalise(shortcut, f"{name}_shortcut_norm")
    features = _blocks.convolution(features, filters, f"{name}_1_conv", strides=strides)
    features = _blocks.normalise_and_activate(features, activation, f"{name}_1")
    features = _blocks.convolution(features, filters, f"{name}_2_conv")
    features = _blocks.normalise(features, f"{name}_2_norm")
    features = keras.layers.Add(name=f"{name}_add")([shortcut, features])
    return keras.layers.Activation(activation, name=f"{name}_activation")(features)
