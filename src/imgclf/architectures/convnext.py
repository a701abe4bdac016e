"""ConvNeXt with weights from ImageNet.

Source: Liu et al. 2022, "A ConvNet for the 2020s" (arXiv:2201.03545), as `keras.applications`
builds it. ImageNet accuracy (top 1, 224 pixels): tiny 81.3 %, small 82.3 %, base 85.3 % (the last
was trained on ImageNet-21k first).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from imgclf.architectures import _blocks, _pretrained
from imgclf.options import WITHOUT_WEIGHTS

if TYPE_CHECKING:
    import keras


def convnext(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    size: Literal["tiny", "small", "base"] = "tiny",
    dropout: _pretrained.Dropout = 0.2,
    weights: _pretrained.FirstWeights = "none",
) -> keras.Model:
    """ConvNeXt, pretrained with `weights=imagenet`: the most accurate backbone, and the slowest.

    From 32 pixels a side; trained at 224.

    Args:
        input_shape: ``(height, width, channels)``, 32 pixels or more a side.
        num_classes: 2 or more.
        size: From the smallest to the largest.
        dropout: Share of features silenced in training, before the head.
        weights: ``"imagenet"``, ``"none"``, or the path of a ``.h5`` file with the weights of
            ``keras.applications.ConvNeXtTiny(include_top=False)`` (or another size).

    Returns:
        The uncompiled network.
    """
    import keras

    image, features = _pretrained.image_input(input_shape, "convnext", *_pretrained.standardised())
    inner = _pretrained.backbone(
        f"ConvNeXt{size.capitalize()}",
        features,
        weights,
        pooling="avg",
        include_preprocessing=False,
    )
    for layer in inner.layers:
        if layer.name.endswith("_layer_scale"):
            # Keras numbers these weights anew in every build; saved ones must find them again.
            layer.gamma._path = f"{layer.name}/gamma"  # noqa: SLF001
    # Keras leaves the last normalisation without a name; its twin has one.
    unnamed = inner.layers[-1]
    norm = keras.layers.LayerNormalization(epsilon=unnamed.epsilon, name="head_norm")
    vector = norm(unnamed.input)
    if weights != WITHOUT_WEIGHTS:
        norm.set_weights(unnamed.get_weights())
    vector = keras.layers.Dropout(dropout, name="dropout")(vector)
    return _blocks.classifier(image, vector, num_classes, "convnext")
