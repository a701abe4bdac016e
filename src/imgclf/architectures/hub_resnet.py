"""Residual networks of KerasHub, with weights from ImageNet.

Source: He et al. 2015, "Deep Residual Learning for Image Recognition" (arXiv:1512.03385), table 1,
as `keras_hub` builds it; its weights were trained by the recipe of Wightman et al. 2021, "ResNet
strikes back" (arXiv:2110.00476). KerasHub is an extra: ``pip install 'imgclf[keras-hub]'``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from imgclf.architectures import _pretrained
from imgclf.errors import PluginError
from imgclf.options import WITHOUT_WEIGHTS

if TYPE_CHECKING:
    import keras

# Blocks of each stage and their kind, as in the paper's table 1.
STAGES = {
    18: ([2, 2, 2, 2], "basic_block"),
    34: ([3, 4, 6, 3], "basic_block"),
    50: ([3, 4, 6, 3], "bottleneck_block"),
}


def hub_resnet(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    depth: Literal[18, 34, 50] = 18,
    pooling: Literal["avg", "max"] = "avg",
    dropout: _pretrained.Dropout = 0.2,
    weights: _pretrained.FirstWeights = "none",
) -> keras.Model:
    """ResNet18, 34 or 50 of KerasHub (extra `keras-hub`), pretrained with `weights=imagenet`.

    From 32 pixels a side; trained at 224.

    Args:
        input_shape: ``(height, width, channels)``, 32 pixels or more a side.
        num_classes: 2 or more.
        depth: Layers.
        pooling: How the last map becomes a vector.
        dropout: Share of features silenced in training, before the head.
        weights: ``"imagenet"``, ``"none"``, or the path of a ``.weights.h5`` file of a
            ``keras_hub.models.ResNetBackbone`` of this depth.

    Returns:
        The uncompiled network.

    Raises:
        PluginError: KerasHub is not installed.
    """
    models = _keras_hub_models()
    scale, offset = _pretrained.standardised()
    image, features = _pretrained.image_input(input_shape, "hub_resnet", scale, offset)
    inner = _backbone(models, depth, weights)
    # `call`, unlike `__call__`, replays the layers one by one: the result stays flat.
    return _pretrained.classifier(
        image,
        inner.call(features),
        num_classes,
        pooling=pooling,
        dropout=dropout,
        name="hub_resnet",
    )


def _keras_hub_models() -> Any:
    try:
        import keras_hub
    except ImportError as error:
        raise PluginError(
            f"The architecture 'hub_resnet' needs KerasHub ({error}): "
            "pip install 'imgclf[keras-hub]'."
        ) from error
    return keras_hub.models


def _backbone(models: Any, depth: int, weights: str) -> keras.Model:
    num_blocks, block_type = STAGES[depth]
    if weights == "imagenet":
        preset = f"resnet_{depth}_imagenet"
        return _pretrained.loading(
            lambda: models.ResNetBackbone.from_preset(preset),
            weights,
            f"keras_hub.models.ResNetBackbone.from_preset({preset!r})",
        )
    inner = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=num_blocks,
        stackwise_num_strides=[1, 2, 2, 2],
        block_type=block_type,
    )
    if weights != WITHOUT_WEIGHTS:
        _pretrained.loading(
            lambda: inner.load_weights(weights),
            weights,
            f"a keras_hub.models.ResNetBackbone of depth {depth}",
        )
    return inner
