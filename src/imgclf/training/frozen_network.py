"""A network's frozen part in LiteRT's format: converted once, for features and for answers."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import keras
import tensorflow as tf

from imgclf.engines.features import feature_tensors
from imgclf.engines.fingerprint import network_fingerprint
from imgclf.engines.network_store import find_network, keep_network
from imgclf.errors import EngineError

if TYPE_CHECKING:
    from imgclf.data.pixels.input_policy import DataFormat
    from imgclf.data.store.pixel_store import StoreMode

__all__ = ["KnownUnconvertibleError", "convert_frozen", "find_converted"]

VERSION = 2
"""Raised when networks are converted otherwise; part of the converted network's key."""


class KnownUnconvertibleError(EngineError):
    """The network could not be converted, which was said before."""


_converted: WeakKeyDictionary[keras.Layer, tuple[str, bytes | EngineError]] = WeakKeyDictionary()
"""What a frozen part was converted to, or why it was not, and for which weights, by its last layer:
it computes for several splits and variants, and not every cache can be written."""


def convert_frozen(
    frozen: keras.Model, fingerprint: str, data_format: DataFormat, mode: StoreMode
) -> bytes:
    """Convert a frozen part, unless this or an earlier process has done so.

    Args:
        frozen: From the image to the features, ``(batch, num_features)``.
        fingerprint: `network_fingerprint` of it.
        data_format: Order of the axes that it reads.
        mode: ``"memory"`` and ``"off"`` keep the result in this process only.

    Returns:
        The content of a ``.tflite`` file. Its last output are the features; before come the maps
        that `feature_tensors` finds, averaged over their places.

    Raises:
        KnownUnconvertibleError: It cannot be converted, and this is not the first attempt.
        EngineError: It cannot be converted.
    """

    def convert() -> bytes:
        # Not at the top: what is kept is run without the converter.
        from imgclf.engines.litert_conversion import convert_to_litert

        maps = [tensor for tensor in feature_tensors(frozen) if len(tensor.shape) == 4]
        pooled = [keras.ops.mean(one, axis=(1, 2)) for one in maps]
        whole = keras.Model(frozen.inputs[0], [*pooled, frozen.outputs[0]], name=frozen.name)
        return convert_to_litert(whole, data_format=data_format)

    key = _key(fingerprint, data_format)
    known, content = _converted.get(frozen.layers[-1], ("", b""))
    if known != key:
        try:
            content = convert() if mode in ("memory", "off") else keep_network(key, convert)
        except EngineError as error:
            _converted[frozen.layers[-1]] = key, error
            raise
        _converted[frozen.layers[-1]] = key, content
    elif isinstance(content, EngineError):
        raise KnownUnconvertibleError(str(content)) from content
    assert isinstance(content, bytes)
    return content


def find_converted(frozen: keras.Model, data_format: DataFormat) -> bytes | None:
    """Return what `convert_frozen` returned for this very network; None where it was not called.

    Args:
        frozen: From the image to the features.
        data_format: Order of the axes that it reads.

    Returns:
        The content of a ``.tflite`` file, from this process or from the cache.
    """
    key = _key(network_fingerprint(frozen), data_format)
    known, content = _converted.get(frozen.layers[-1], ("", b""))
    if known == key:
        return content if isinstance(content, bytes) else None
    return find_network(key)


def _key(fingerprint: str, data_format: DataFormat) -> str:
    header = (VERSION, tf.__version__, data_format, fingerprint)
    return hashlib.sha256(json.dumps(header).encode()).hexdigest()
