"""EfficientNetV2 with weights from ImageNet.

Source: Tan and Le 2021, "EfficientNetV2" (arXiv:2104.00298), as `keras.applications` builds it.
ImageNet accuracy (top 1, at the size that each was trained at): b0 78.7 %, b1 79.8 %, b2 80.5 %,
b3 82.0 %, s 83.9 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from imgclf.architectures import _pretrained

if TYPE_CHECKING:
    import keras


def efficientnet_v2(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    size: Literal["b0", "b1", "b2", "b3", "s"] = "b0",
    pooling: Literal["avg", "max"] = "avg",
    dropout: _pretrained.Dropout = 0.2,
    weights: _pretrained.FirstWeights = "none",
) -> keras.Model:
    """EfficientNetV2, pretrained with `weights=imagenet`: much accuracy for its size.

    From 32 pixels a side; b0 was trained at 224, b1 at 240, b2 at 260, b3 at 300, s at 384.

    Args:
        input_shape: ``(height, width, channels)``, 32 pixels or more a side.
        num_classes: 2 or more.
        size: From the smallest to the largest.
        pooling: How the last map becomes a vector.
        dropout: Share of features silenced in training, before the head.
        weights: ``"imagenet"``, ``"none"``, or the path of a ``.h5`` file with the weights of
            ``keras.applications.EfficientNetV2B0(include_top=False)`` (or another size).

    Returns:
        The uncompiled network.
    """
    # The b's were trained on standardised pixels, s on -1..1 (keras.applications' own layers).
    scale, offset = (1 / 128.0, -1.0) if size == "s" else _pretrained.standardised()
    image, features = _pretrained.image_input(input_shape, "efficientnet_v2", scale, offset)
    inner = _pretrained.backbone(
        f"EfficientNetV2{size.upper()}", features, weights, include_preprocessing=False
    )
    return _pretrained.classifier(
        image, inner.output, num_classes, pooling=pooling, dropout=dropout, name="efficientnet_v2"
    )
