"""A residual network of nine layers.

Sources: residual blocks from He et al. 2015 (arXiv:1512.03385); the nine-layer layout from D. Page,
"How to train your ResNet" (2018), where it reached 94 % on CIFAR-10 in the fewest epochs of its
time. Beyond 32 pixels the stem takes larger steps, so that the first stage always works on
a map of 32 to 63 pixels and the cost per image stays about the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from imgclf.architectures import _blocks
from imgclf.options import Choice, Float, Int

if TYPE_CHECKING:
    import keras


def resnet9(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: Annotated[int, Int(8, 256, search=[16, 24, 32, 48])] = 24,
    pooling: Annotated[Literal["max", "avg"], Choice(search=["max", "avg"])] = "max",
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.0,
    activation: Literal["relu", "gelu"] = "relu",
) -> keras.Model:
    """Nine-layer residual network: the best of the small ones, from 8 to 224 pixels a side.

    Args:
        input_shape: ``(height, width, channels)``.
        num_classes: 2 or more.
        filters: Filters of the stem; the three stages have 2, 4 and 8 times as many.
        pooling: 2x2 pooling at the end of each stage, and the global pooling.
        dropout: Share of features silenced in training, before the head.
        activation: Activation after each batch normalisation.

    Returns:
        The uncompiled network.
    """
    import keras

    image, features = _blocks.image_input(input_shape)
    features = _blocks.stem(features, min(input_shape[:2]), filters, activation)
    for stage, width in enumerate((2, 4, 8), start=1):
        name = f"stage{stage}"
        features = _blocks.convolution(features, width * filters, f"{name}_conv")
        features = _blocks.normalise(features, f"{name}_norm")
        features = _blocks.activate_and_pool(features, activation, pooling, name)
        if stage != 2:  # Page's layout: the middle stage has no residual block.
            features = _residual(features, width * filters, activation, f"{name}_residual")
    features = _blocks.global_pooling(features, pooling)
    features = keras.layers.Dropout(dropout, name="dropout")(features)
    # Global max pooling gives large features: with a usual head the first loss is twice that of
    # guessing (measured on CIFAR-10), and the first epochs are spent on undoing that.
    return _blocks.classifier(image, features, num_classes, "resnet9", head_variance=0.01)


def _residual(
    features: keras.KerasTensor, filters: int, activation: str, name: str
) -> keras.KerasTensor:
    """Add two convolutions to their own input (He et al. 2015, figure 2)."""
    import keras

    shortcut = features
    for index in (1, 2):
        features = _blocks.convolution(features, filters, f"{name}_conv{index}")
        features = _blocks.normalise(features, f"{name}_norm{index}")
        features = keras.layers.Activation(activation, name=f"{name}_activation{index}")(features)
    return keras.layers.Add(name=f"{name}_add")([shortcut, features])
