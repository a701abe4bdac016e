"""Deep residual networks, second version, with weights from ImageNet.

Source: He et al. 2016, "Identity Mappings in Deep Residual Networks" (arXiv:1603.05027), as
`keras.applications` builds it. ImageNet accuracy (top 1, 224 pixels): 50 layers 76.0 %,
101 layers 77.2 %, 152 layers 78.0 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from imgclf.architectures import _pretrained

if TYPE_CHECKING:
    import keras


def resnet_v2(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    depth: Literal[50, 101, 152] = 50,
    pooling: Literal["avg", "max"] = "avg",
    dropout: _pretrained.Dropout = 0.2,
    weights: _pretrained.FirstWeights = "none",
) -> keras.Model:
    """ResNet50V2 and deeper, pretrained with `weights=imagenet`: the backbone of many papers.

    From 32 pixels a side; trained at 224.

    Args:
        input_shape: ``(height, width, channels)``, 32 pixels or more a side.
        num_classes: 2 or more.
        depth: Layers.
        pooling: How the last map becomes a vector.
        dropout: Share of features silenced in training, before the head.
        weights: ``"imagenet"``, ``"none"``, or the path of a ``.h5`` file with the weights of
            ``keras.applications.ResNet50V2(include_top=False)`` (or another depth).

    Returns:
        The uncompiled network.
    """
    image, features = _pretrained.image_input(input_shape, "resnet_v2", 1 / 127.5, -1.0)
    inner = _pretrained.backbone(f"ResNet{depth}V2", features, weights)
    return _pretrained.classifier(
        image, inner.output, num_classes, pooling=pooling, dropout=dropout, name="resnet_v2"
    )
