"""Features of each image from a frozen backbone, computed once for all epochs."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgclf.data.batches.batch_source import encode_labels
from imgclf.data.batches.dataset import Batches, as_written
from imgclf.data.pixels.decoder import DECODER_VERSION
from imgclf.data.store.feature_store import FeatureSet, keep_features
from imgclf.data.store.pixel_store import StoreMode
from imgclf.engines.contract import Network
from imgclf.engines.fingerprint import network_fingerprint
from imgclf.engines.keras_network import KerasNetwork
from imgclf.engines.litert import LiteRtNetwork, litert_version
from imgclf.errors import ArgumentError, EngineError
from imgclf.machine.devices import has_gpu
from imgclf.training.frozen_network import KnownUnconvertibleError, convert_frozen
from imgclf.training.variants import PLAIN, Variant

__all__ = ["DividedNetwork", "compute_features", "divide_network", "feature_batches"]

_logger = logging.getLogger(__name__)

FEATURES_VERSION = 4
"""Raised when features are computed otherwise; part of the key."""

CHUNK_IMAGES = 32
"""Images that are read at a time."""

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

    @property
    def has_linear_head(self) -> bool:
        """Whether the head is one dense layer, behind layers that only matter in training."""
        return all(layer.name == "head" or not layer.weights for layer in self.head.layers) and all(
            isinstance(layer, (keras.layers.InputLayer, keras.layers.Dropout, keras.layers.Dense))
            for layer in self.head.layers
        )

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
    variant: Variant = PLAIN,
    mode: StoreMode = "auto",
    progress: Progress | None = None,
    fingerprint: str | None = None,
) -> NDArray[np.float32]:
    """Run each image once through the frozen part, not augmented, or find what it gave.

    The fastest engine computes: TensorFlow where it has a GPU, else LiteRT, and TensorFlow again
    where LiteRT is missing or cannot run the network. They differ by less than 1e-5 of the largest
    feature; what another engine has made is computed again all the same, so that a training gives
    the same classifier to the last bit whether its features were cached or not.

    Args:
        frozen: The frozen part of a `DividedNetwork`.
        batches: The images.
        variant: The change that every image undergoes; each variant is kept by itself.
        mode: Where the features are kept; see `imgclf.data.store.feature_store.keep_features`. The
            converted network is kept on the disk where the features may be.
        progress: Called now and then with the number of images done and in all.
        fingerprint: `network_fingerprint` of the frozen part at this moment, where it is known.

    Returns:
        float32 ``(num_samples, num_features)``, in the order of ``batches.file_paths``.
    """
    known = fingerprint or network_fingerprint(frozen)

    def keep(engine: str, make_network: Callable[[], Network]) -> NDArray[np.float32]:
        return keep_features(
            FeatureSet(
                _kind(engine, known, batches, variant),
                [sample.sha256 for sample in batches.samples],
                int(frozen.output_shape[-1]),
                _folder_of(batches),
            ),
            lambda places: _run(make_network(), batches, places, variant, progress),
            mode=mode,
            # TensorFlow's last bit depends on the size of the batch.
            image_by_image=engine.startswith("litert"),
        )

    data_format = batches.policy.data_format
    try:
        version = _require_litert()
        return keep(
            f"litert {version}",
            lambda: LiteRtNetwork(convert_frozen(frozen, known, data_format, mode)),
        )
    except (_NotFasterError, KnownUnconvertibleError) as reason:
        _logger.info("%s TensorFlow computes the features.", reason)
    except EngineError as error:
        _logger.warning("%s TensorFlow computes the features, which takes longer.", error)
    return keep(
        f"tensorflow {tf.__version__}", lambda: KerasNetwork(frozen, data_format=data_format)
    )


def _folder_of(batches: Batches) -> str:
    """Return the folder of the images: the one that they all lie in."""
    try:
        return os.path.commonpath(batches.file_paths)
    except ValueError:  # They lie on several drives.
        return ""


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

    def in_batches(places: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(places).batch(batch_size)

    # Python is asked once an epoch: per batch it would cost more than the head itself.
    rows = tf.constant(features)
    targets = tf.constant(encode_labels(source.labels, source.num_classes))
    options = tf.data.Options()
    options.autotune.enabled = False  # as in `Batches`
    return (
        tf.data.Dataset.range(np.iinfo(np.int64).max)
        .map(as_written(order))
        .flat_map(as_written(in_batches))
        .map(as_written(lambda places: (tf.gather(rows, places), tf.gather(targets, places))))
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


class _NotFasterError(EngineError):
    """LiteRT would not be faster here: nothing to warn of."""


def _require_litert() -> str:
    """Return LiteRT's version where it is the fastest engine."""
    if has_gpu():
        raise _NotFasterError("There is a GPU.")
    try:
        return litert_version()
    except EngineError as error:
        raise _NotFasterError(str(error)) from error


def _run(
    network: Network,
    batches: Batches,
    places: NDArray[np.int64],
    variant: Variant,
    progress: Progress | None,
) -> Iterator[NDArray[np.float32]]:
    """Yield the features of the images at these places, while a thread reads the next ones."""
    done = batches.num_samples - len(places)
    for images in _read_ahead(batches, places, variant):
        yield network(images)[-1]
        done += len(images)
        if progress is not None:
            progress(done, batches.num_samples)


def _read_ahead(
    batches: Batches, places: NDArray[np.int64], variant: Variant
) -> Iterator[NDArray[np.uint8]]:
    """Yield the images in chunks; the next one is read while the caller is at work."""
    rows, pixels = batches.source.rows[places], batches.source.pixels

    def read(first: int) -> NDArray[np.uint8]:
        return variant.apply(pixels.rows(rows[first : first + CHUNK_IMAGES]))

    with ThreadPoolExecutor(1, thread_name_prefix="imgclf-read") as reader:
        chunks = range(0, len(rows), CHUNK_IMAGES)
        following = deque(reader.submit(read, first) for first in chunks[:1])
        for after in chunks[1:]:
            following.append(reader.submit(read, after))
            yield following.popleft().result()
        yield from (future.result() for future in following)


def _kind(engine: str, fingerprint: str, batches: Batches, variant: Variant) -> str:
    """Hash all that decides a row beside its image: engine, network, variant, pixels."""
    header = (
        FEATURES_VERSION,
        DECODER_VERSION,
        engine,
        fingerprint,
        asdict(batches.policy),
        asdict(variant),
    )
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()
