"""Features of each image from a frozen backbone, computed once for all epochs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgclf.data.batches.dataset import Batches
from imgclf.data.pixels.decoder import DECODER_VERSION
from imgclf.data.store.feature_store import keep_features
from imgclf.data.store.pixel_store import StoreMode
from imgclf.errors import ArgumentError
from imgclf.machine.precision import float32_results

__all__ = ["DividedNetwork", "compute_features", "divide_network", "feature_batches"]

FEATURES_VERSION = 1
"""Raised when features are computed otherwise; part of the key."""

CHUNK_IMAGES = 32
"""Images that go through the frozen part at a time."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class DividedNetwork:
    """A network in two parts, at the place where its last map becomes a vector.

    Attributes:
        frozen: From the image to the features, ``(batch, num_features)``; these are the layers of
            the network itself.
        head: From the features to the output; copies of the network's layers.
        network: The whole network.
    """

    frozen: keras.Model
    head: keras.Model
    network: keras.Model

    def adopt_head(self) -> None:
        """Give the whole network the weights of the head."""
        for layer in self.head.layers:
            if layer.weights:
                self.network.get_layer(layer.name).set_weights(layer.get_weights())


def divide_network(model: keras.Model) -> DividedNetwork:
    """Divide a network into the part that makes features and the head behind it.

    Args:
        model: What `imgclf.build_model` returned.

    Returns:
        Both parts.

    Raises:
        ArgumentError: No map becomes a vector in the network, or what follows is no plain chain
            of layers.
    """
    cut = _last_reduction(model)
    if cut is None:
        raise ArgumentError(
            f"The network {model.name!r} has no place where a map becomes a vector, so it cannot "
            "be trained in two phases: leave two_phase out."
        )
    features = _output(model.layers[cut])
    vector = keras.Input(features.shape[1:], name="features")
    tensor, expected = vector, features
    for layer in model.layers[cut + 1 :]:
        if [id(one) for one in layer._inbound_nodes[-1].input_tensors] != [id(expected)]:  # noqa: SLF001
            raise ArgumentError(
                f"The network {model.name!r} has branches behind its last map, at the layer "
                f"{layer.name!r}, so it cannot be trained in two phases: leave two_phase out."
            )
        tensor, expected = type(layer).from_config(layer.get_config())(tensor), _output(layer)
    head = keras.Model(vector, tensor, name=f"{model.name}_head")
    for layer in head.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return DividedNetwork(keras.Model(model.inputs[0], features), head, model)


def compute_features(
    frozen: keras.Model,
    batches: Batches,
    *,
    mode: StoreMode = "auto",
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Run each image once through the frozen part, plain and not augmented, or find what it gave.

    Args:
        frozen: The frozen part of a `DividedNetwork`.
        batches: The images.
        mode: Where the features are kept; see `imgclf.data.store.feature_store.keep_features`.
        progress: Called now and then with the number of images done and in all.

    Returns:
        float32 ``(num_samples, num_features)``, in the order of ``batches.file_paths``.
    """
    shape = (batches.num_samples, int(frozen.output_shape[-1]))
    return keep_features(
        _key(frozen, batches), shape, lambda: _run(frozen, batches, progress), mode=mode
    )


def feature_batches(batches: Batches, features: NDArray[np.float32]) -> tf.data.Dataset:
    """Return batches of features in the place of images: same order, same labels.

    Args:
        batches: The images.
        features: What `compute_features` made of them.

    Returns:
        An endless stream of batches; features are float32 ``(batch, num_features)``.
    """
    source, batch_size = batches.source, batches.batch_size

    def order(epoch: tf.Tensor) -> tf.Tensor:
        places = tf.numpy_function(source.order, [epoch], tf.int64, stateful=False)
        places.set_shape((None,))
        return places

    # Python is asked once an epoch: per batch it would cost more than the head itself.
    rows, targets = tf.constant(features), tf.constant(source.targets)
    options = tf.data.Options()
    options.autotune.enabled = False  # as in `Batches`
    return (
        tf.data.Dataset.range(np.iinfo(np.int64).max)
        .map(order)
        .flat_map(lambda places: tf.data.Dataset.from_tensor_slices(places).batch(batch_size))
        .map(lambda places: (tf.gather(rows, places), tf.gather(targets, places)))
        .prefetch(2)
        .with_options(options)
    )


def _last_reduction(model: keras.Model) -> int | None:
    """Find the last layer that turns maps, or a row of vectors, into one vector."""
    places = [
        place
        for place, layer in enumerate(model.layers)
        if layer._inbound_nodes[-1].input_tensors  # noqa: SLF001 - empty for the input
        and len(layer._inbound_nodes[-1].input_tensors[0].shape) > 2  # noqa: SLF001
        and len(_output(layer).shape) == 2
    ]
    return places[-1] if places else None


def _output(layer: Any) -> Any:
    """Return a layer's output where it was called last: networks are called again to turn axes."""
    return layer._inbound_nodes[-1].output_tensors[0]  # noqa: SLF001


def _run(
    frozen: keras.Model, batches: Batches, progress: Progress | None
) -> Iterator[NDArray[np.float32]]:
    """Yield the features of all images in float32, in chunks of one size."""
    call = tf.function(
        lambda images: frozen(images, training=False),
        input_signature=[tf.TensorSpec((None, *batches.input_shape), tf.uint8)],
        jit_compile=False,
    )
    first_axis = batches.policy.data_format == "channels_first"
    rows, pixels = batches.source.rows, batches.source.pixels
    with float32_results():
        for first in range(0, len(rows), CHUNK_IMAGES):
            images = pixels.rows(rows[first : first + CHUNK_IMAGES])
            count = len(images)
            if count < CHUNK_IMAGES:
                padding = np.zeros((CHUNK_IMAGES - count, *images.shape[1:]), np.uint8)
                images = np.concatenate([images, padding])
            if first_axis:
                images = images.transpose(0, 3, 1, 2)
            yield call(tf.constant(images)).numpy()[:count]
            if progress is not None:
                progress(first + count, len(rows))


def _key(frozen: keras.Model, batches: Batches) -> str:
    """Name features by all that decides them: the images' content, their pixels, the network."""
    digest = hashlib.sha256()
    header = (FEATURES_VERSION, DECODER_VERSION, asdict(batches.policy), _wiring(frozen))
    digest.update(json.dumps(header, sort_keys=True, default=str).encode())
    for weight in frozen.weights:
        digest.update(weight.numpy().tobytes())
    for sample in batches.samples:
        digest.update(sample.sha256.encode())
    return f"features-{digest.hexdigest()[:32]}"


def _wiring(model: keras.Model) -> list[list[Any]]:
    """Describe layers and how they are joined, without the names that change between builds."""
    places = {id(_output(layer)): place for place, layer in enumerate(model.layers)}
    return [
        [
            type(layer).__name__,
            {k: v for k, v in layer.get_config().items() if k not in ("name", "trainable")},
            [places.get(id(one)) for one in layer._inbound_nodes[-1].input_tensors],  # noqa: SLF001
        ]
        for layer in model.layers
    ]
