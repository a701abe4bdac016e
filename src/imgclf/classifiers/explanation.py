"""Where in an image a classifier looked: Grad-CAM, and occlusion where that does not apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

import cv2
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.machine.forked import require_own_threads
from imgclf.machine.precision import float32_results

__all__ = ["Explanation", "feature_layer", "grad_cam", "occlusion"]

Heatmaps = NDArray[np.float32]

OCCLUSION_CELLS = 7
"""Cells a side that occlusion covers one after the other; each costs one prediction."""

EXPLAINED_TOGETHER = 8
"""Images of one pass of Grad-CAM: it keeps what every layer gives."""

OVERLAY_SHARE = 0.6
"""How much of an overlay is the heat map where the heat is greatest."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Which parts of an image led to a class.

    Attributes:
        label: The class.
        probability: Its probability, 0 to 1.
        heatmap: float32 ``(height, width)``, 0 to 1; 1 where the network saw the
            class most. All 0 where it saw it nowhere.
        pixels: uint8 ``(height, width, channels)``, the image as the network read it.
        method: ``"grad_cam"`` or ``"occlusion"``.
    """

    label: str
    probability: float
    heatmap: NDArray[np.float32]
    pixels: NDArray[np.uint8]
    method: Literal["grad_cam", "occlusion"]

    def overlay(self) -> Image.Image:
        """Draw the heat map over the image: blue is cold, red is hot."""
        return overlay(self.pixels, self.heatmap)


def overlay(pixels: NDArray[np.uint8], heatmap: NDArray[np.float32]) -> Image.Image:
    """Draw a heat map over an image.

    Args:
        pixels: uint8 ``(height, width, channels)``.
        heatmap: float32 ``(height, width)``, 0 to 1.

    Returns:
        The picture, RGB, of the same size.
    """
    grey_or_colour = np.broadcast_to(pixels, (*pixels.shape[:2], 3)).astype(np.float32)
    levels = (heatmap * 255).round().astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[..., ::-1].astype(np.float32)
    share = (0.15 + 0.85 * heatmap[..., np.newaxis]) * OVERLAY_SHARE
    mixed = grey_or_colour * (1 - share) + colours * share
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8), "RGB")


def feature_layer(model: keras.Model) -> str | None:
    """Find the layer whose output Grad-CAM looks at.

    That is the last map of the size that the last convolution has: behind the sum of a residual
    block, not inside it. Attention mixes places after the last convolution, so that its map
    says little; such networks have no feature layer.

    Args:
        model: A functional network.

    Returns:
        The layer's name; None where there is none.
    """
    layers = model._flatten_layers(include_self=False)  # noqa: SLF001 - reaches nested models
    if any("Attention" in type(layer).__name__ for layer in layers):
        return None
    maps = [layer for layer in model.layers if _map_size(layer) is not None]
    convolutional = [layer for layer in maps if _convolves(layer)]
    if not convolutional:
        return None
    size = _map_size(convolutional[-1])
    name: str = [layer for layer in maps if _map_size(layer) == size][-1].name
    return name


def _map_size(layer: Any) -> tuple[int, int] | None:
    """Return height and width of a layer's output; None where it is no map of two or more."""
    shape: tuple[Any, ...] = getattr(getattr(layer, "output", None), "shape", ())
    if len(shape) != 4 or None in shape[1:3] or shape[1] * shape[2] < 2:
        return None
    return (shape[1], shape[2])


def _convolves(layer: Any) -> bool:
    """Tell whether a layer is a convolution, or a network with one inside."""
    inner = layer._flatten_layers() if isinstance(layer, keras.Model) else [layer]  # noqa: SLF001
    return any("Conv" in type(item).__name__ for item in inner)


def grad_cam(
    model: keras.Model, policy: InputPolicy, pixels: NDArray[np.uint8], classes: NDArray[np.int64]
) -> Heatmaps | None:
    """Weigh the last feature map by what each of its channels does for a class's logit.

    Where the map is flattened, each place has weights of its own, which a mean over places would
    wipe out: there every place keeps its own gradient (HiResCAM). Behind a global pooling both
    are the same but for a constant.

    Args:
        model: A network that fulfils the contract: functional, its last layer the ``head``.
        policy: Gives the order of the axes that the network reads.
        pixels: uint8 ``(batch, height, width, channels)``.
        classes: ``(batch,)``, the class to explain for each image.

    Returns:
        float32 ``(batch, height, width)``, 0 to 1; None where the network has no feature layer.

    References:
        R. R. Selvaraju et al., "Grad-CAM", ICCV 2017, arXiv:1610.02391; R. L. Draelos and
        L. Carin, "Use HiResCAM instead of Grad-CAM", arXiv:2011.08891.
    """
    name = feature_layer(model)
    if name is None:
        return None
    head = model.layers[-1]
    # The latest node: a channels-first network was made by calling its layers a second time.
    maps = model.get_layer(name)._inbound_nodes[-1].output_tensors[0]  # noqa: SLF001
    hidden = head._inbound_nodes[-1].input_tensors[0]  # noqa: SLF001
    if model not in _HALVES:
        _HALVES[model] = _halves(model, maps, hidden)
    halves = _HALVES[model]
    images = pixels.transpose(0, 3, 1, 2) if policy.data_format == "channels_first" else pixels
    is_flattened = any(isinstance(layer, keras.layers.Flatten) for layer in model.layers)
    cams: list[NDArray[np.float32]] = []
    for first in range(0, len(images), EXPLAINED_TOGETHER):
        some = slice(first, first + EXPLAINED_TOGETHER)
        require_own_threads()
        with float32_results():
            values, gradient = halves(tf.constant(images[some]), head, classes[some])
        weights = gradient if is_flattened else tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
        cams.extend(tf.nn.relu(tf.reduce_sum(weights * values, axis=-1)).numpy())
    return np.stack([_resized(cam, policy.image_size) for cam in cams])


_MapsAndGradient = Callable[
    [tf.Tensor, keras.layers.Dense, NDArray[np.int64]], tuple[tf.Tensor, tf.Tensor]
]


_HALVES: WeakKeyDictionary[keras.Model, _MapsAndGradient] = WeakKeyDictionary()
"""What was made of each network that is still used: tracing takes longer than a heat map."""


def _halves(
    model: keras.Model, maps: keras.KerasTensor, hidden: keras.KerasTensor
) -> _MapsAndGradient:
    """Return what computes the maps of images, and the gradient of a class's logit there.

    Only what follows the maps is recorded for the gradient: a tape over the whole network keeps
    every layer's output, 100 MB an image of 224 pixels a side.
    """
    if _passes_by(hidden, maps):
        whole = keras.Model(model.inputs, [maps, hidden])

        def recorded(
            images: tf.Tensor, head: keras.layers.Dense, classes: NDArray[np.int64]
        ) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                values, vector = whole(images, training=False)
                logits = tf.matmul(vector, head.kernel) + head.bias
                wanted = _class_logits(logits, classes)
            return values, tape.gradient(wanted, values)

        return recorded
    before, after = keras.Model(model.inputs, maps), keras.Model(maps, hidden)
    call = tf.function(
        lambda images: before(images, training=False),
        autograph=False,
        reduce_retracing=True,
        jit_compile=False,
    )

    def in_two_parts(
        images: tf.Tensor, head: keras.layers.Dense, classes: NDArray[np.int64]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        values = call(images)
        with tf.GradientTape() as tape:
            tape.watch(values)
            logits = tf.matmul(after(values, training=False), head.kernel) + head.bias
            wanted = _class_logits(logits, classes)
        return values, tape.gradient(wanted, values)

    return in_two_parts


def _passes_by(hidden: keras.KerasTensor, maps: keras.KerasTensor) -> bool:
    """Tell whether something reaches the head from the image without going through the maps."""
    waiting, seen = [hidden], {id(maps)}
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation, node_index, _ = tensor._keras_history  # noqa: SLF001
        inputs = operation._inbound_nodes[node_index].input_tensors  # noqa: SLF001
        if not inputs:
            return True
        waiting.extend(inputs)
    return False


def _class_logits(logits: tf.Tensor, classes: NDArray[np.int64]) -> tf.Tensor:
    """Pick each image's logit; the one logit of two classes speaks for the second."""
    if logits.shape[-1] == 1:
        return logits[:, 0] * tf.constant(np.where(classes == 1, 1.0, -1.0), logits.dtype)
    return tf.gather(logits, classes, axis=1, batch_dims=1)


def _resized(cam: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Enlarge a map to the image and scale it to 0..1."""
    large = cv2.resize(cam, size[::-1], interpolation=cv2.INTER_LINEAR)
    peak = float(large.max())
    scaled = large / peak if peak > 0 else large
    return np.asarray(scaled, np.float32)


def occlusion(
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float64]],
    pixels: NDArray[np.uint8],
    class_index: int,
) -> NDArray[np.float32]:
    """Cover one part of an image after the other and see how much the class loses.

    Args:
        predict: Takes uint8 ``(batch, height, width, channels)``, returns float64
            ``(batch, num_classes)``.
        pixels: uint8 ``(height, width, channels)``.
        class_index: The class to explain.

    Returns:
        float32 ``(height, width)``, 0 to 1.

    References:
        M. D. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks",
        ECCV 2014, arXiv:1311.2901.
    """
    height, width = pixels.shape[:2]
    rows, columns = min(OCCLUSION_CELLS, height), min(OCCLUSION_CELLS, width)
    tops = np.linspace(0, height, rows + 1).astype(int)
    lefts = np.linspace(0, width, columns + 1).astype(int)
    mean_colour = pixels.mean(axis=(0, 1)).round().astype(np.uint8)
    covered = np.repeat(pixels[np.newaxis], rows * columns + 1, axis=0)
    for cell in range(rows * columns):
        row, column = divmod(cell, columns)
        top, bottom = tops[row], tops[row + 1]
        covered[cell + 1, top:bottom, lefts[column] : lefts[column + 1]] = mean_colour
    scores = predict(covered)[:, class_index]
    losses = np.maximum(scores[0] - scores[1:], 0).reshape(rows, columns)
    return _resized(losses.astype(np.float32), (height, width))
