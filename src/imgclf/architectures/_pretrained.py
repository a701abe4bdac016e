"""What the families on `keras.applications` share: preprocessing, backbone and its weights.

Keras is imported inside the functions, so that reading an architecture's options stays light.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from imgclf.architectures import _blocks
from imgclf.errors import ArgumentError, WeightsError, in_one_line
from imgclf.options import WEIGHTS_ENDING, WITHOUT_WEIGHTS, Float, Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import keras

Dropout = Annotated[float, Float(0.0, 0.9, search=[0.0, 0.2, 0.5])]
FirstWeights = Annotated[str, Weights()]
"""Options of every pretrained family; an architecture's signature is its search space."""

SMALLEST_SIDE = 32
"""Below it the last map, a 32nd of the image's side, holds less than a pixel of the picture; Keras
refuses such images too."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Of red, green and blue over ImageNet's training images, as shares of 255 (torchvision)."""


def standardised() -> tuple[list[float], list[float]]:
    """Return scale and offset that turn 0..255 into standard deviations from ImageNet's mean."""
    scale = [1 / (255 * deviation) for deviation in IMAGENET_DEVIATION]
    offset = [
        -mean / deviation for mean, deviation in zip(IMAGENET_MEAN, IMAGENET_DEVIATION, strict=True)
    ]
    return scale, offset


def image_input(
    input_shape: tuple[int, int, int],
    name: str,
    scale: float | Sequence[float],
    offset: float | Sequence[float],
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Start a network: the ``image`` input of uint8 pixels, as the backbone was trained on them.

    Args:
        input_shape: ``(height, width, channels)``; grey images become colour images.
        name: The architecture's name, for the message.
        scale: What pixels 0..255 are multiplied by, for all channels or each.
        offset: What is added then.

    Returns:
        The input, ``(batch, height, width, channels)`` with 0..255, and the preprocessed colour
        image, ``(batch, height, width, 3)``.

    Raises:
        ArgumentError: The image is smaller than 32 x 32 pixels.
    """
    import keras

    height, width, channels = input_shape
    if min(height, width) < SMALLEST_SIDE:
        raise ArgumentError(
            f"Images of {height} x {width} pixels are too small for {name!r}: it needs at least "
            f"{SMALLEST_SIDE} x {SMALLEST_SIDE}."
        )
    image = keras.Input(input_shape, dtype="uint8", name="image")
    colour = image if channels == 3 else keras.layers.Concatenate(name="colour")([image] * 3)
    return image, keras.layers.Rescaling(scale, offset, name="rescaling")(colour)


def backbone(
    application: str, features: keras.KerasTensor, weights: str, **arguments: Any
) -> keras.Model:
    """Put one of `keras.applications`, without its head, behind the preprocessing.

    Args:
        application: Name of the function, such as ``"MobileNetV3Small"``.
        features: What `image_input` returned.
        weights: ``"none"``, ``"imagenet"`` or the path of a file with the backbone's weights.
        **arguments: Further arguments of the function.

    Returns:
        The network from the image to the last feature map.

    Raises:
        WeightsError: The weights cannot be fetched or read, or are another network's.
    """
    import keras

    build = getattr(keras.applications, application)
    arguments = {"input_tensor": features, "include_top": False, **arguments}
    if weights == WITHOUT_WEIGHTS:
        return build(weights=None, **arguments)
    with _quietly():
        return loading(
            lambda: build(weights=weights, **arguments),
            weights,
            f"keras.applications.{application}(include_top=False)",
        )


def loading(build: Callable[[], keras.Model], weights: str, owner: str) -> keras.Model:
    """Build a network that fetches or reads its weights; name the file where that fails.

    Args:
        build: Builds it.
        weights: What was asked for: a name, or the path of a file.
        owner: The network whose weights fit, as users would write it.

    Returns:
        What `build` returned.

    Raises:
        WeightsError: The weights cannot be fetched or read, or are another network's.
    """
    try:
        return build()
    except Exception as error:
        if weights.lower().endswith(WEIGHTS_ENDING):
            raise WeightsError(
                f"The weights file {weights} cannot be used ({in_one_line(error):.200}): give the "
                f"weights of {owner}."
            ) from error
        raise WeightsError(_unfetched(weights, owner, error)) from error


def _unfetched(weights: str, owner: str, error: Exception) -> str:
    """Say which file is missing, where to put it and how to do without the network."""
    reason = in_one_line(error)
    address = re.search(r"https?://\S+/([^/\s:]+)", reason)
    if address is None:
        return (
            f"The weights {weights!r} of {owner} cannot be fetched or used ({reason:.200}): "
            "fetch them once where there is a network and copy the cache folder, give a file with "
            f"weights=path/to/file.h5, or start without them: weights={WITHOUT_WEIGHTS}."
        )
    folder = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"
    return (
        f"The weights file {address[1]} cannot be fetched ({reason}): download {address[0]} "
        f"elsewhere and put it into {folder}, give its place with weights=path/to/{address[1]}, "
        f"or start without it: weights={WITHOUT_WEIGHTS}."
    )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep Keras' progress bar from standard output, and its hints about 224 pixels away."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def classifier(
    image: keras.KerasTensor,
    features: keras.KerasTensor,
    num_classes: int,
    *,
    pooling: _blocks.Pooling,
    dropout: float,
    name: str,
) -> keras.Model:
    """Close a network: global pooling, dropout and the ``head``.

    Args:
        image: The network's input.
        features: The backbone's last map, ``(batch, height, width, channels)``.
        num_classes: 2 or more.
        pooling: How the map becomes a vector.
        dropout: Share of features silenced in training.
        name: The architecture's name.

    Returns:
        The uncompiled model.
    """
    import keras

    vector = _blocks.global_pooling(features, pooling)
    vector = keras.layers.Dropout(dropout, name="dropout")(vector)
    return _blocks.classifier(image, vector, num_classes, name)
