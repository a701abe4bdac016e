"""MobileNetV3 with weights from ImageNet.

Source: Howard et al. 2019, "Searching for MobileNetV3" (arXiv:1905.02244), tables 1 and 2, as
`keras.applications` builds it. ImageNet accuracy (top 1, 224 pixels): small 68.1 %, large 75.6 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from imgclf.architectures import _pretrained
from imgclf.options import Choice

if TYPE_CHECKING:
    import keras


def mobilenet_v3(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    size: Literal["small", "large"] = "small",
    width: Annotated[float, Choice(values=[0.75, 1.0])] = 1.0,
    pooling: Literal["avg", "max"] = "avg",
    dropout: _pretrained.Dropout = 0.2,
    weights: _pretrained.FirstWeights = "none",
) -> keras.Model:
    """MobileNetV3, pretrained with `weights=imagenet`: the quickest backbone on a CPU.

    From 32 pixels a side; trained at 224.

    Args:
        input_shape: ``(height, width, channels)``, 32 pixels or more a side.
        num_classes: 2 or more.
        size: ``"large"`` has 3 times the weights and 4 times the operations of ``"small"``.
        width: Filters of each layer, as a share of the paper's.
        pooling: How the last map becomes a vector.
        dropout: Share of features silenced in training, before the head.
        weights: ``"imagenet"``, ``"none"``, or the path of a ``.h5`` file with the weights of
            ``keras.applications.MobileNetV3Small(include_top=False)`` (or ``Large``).

    Returns:
        The uncompiled network.
    """
    application = {"small": "MobileNetV3Small", "large": "MobileNetV3Large"}[size]
    image, features = _pretrained.image_input(input_shape, "mobilenet_v3", 1 / 127.5, -1.0)
    inner = _pretrained.backbone(
        application, features, weights, alpha=width, include_preprocessing=False
    )
    return _pretrained.classifier(
        image, inner.output, num_classes, pooling=pooling, dropout=dropout, name="mobilenet_v3"
    )
