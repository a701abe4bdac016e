"""Keras and TensorFlow: a `.keras` file, or a SavedModel folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from imgclf.atomic import write_text_atomically
from imgclf.exports.export_model import INPUT_NAME, OUTPUT_NAME, export_model
from imgclf.machine.startup import silenced_stderr

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgclf.classifiers.record import ClassifierRecord

__all__ = ["write_keras", "write_saved_model"]

METADATA_NAME = "metadata.json"


def write_keras(record: ClassifierRecord, target: Path, metadata: Mapping[str, Any]) -> None:
    """Write a file that ``keras.models.load_model`` reads where imgclf is not installed.

    Args:
        record: The classifier.
        target: The file.
        metadata: Of `metadata_of`; it lies beside the file, as ``NAME.keras.json``.
    """
    _with_stock_initializers(export_model(record)).save(target)
    write_text_atomically(target.with_name(f"{target.name}.json"), _text(metadata))


def write_saved_model(record: ClassifierRecord, target: Path, metadata: Mapping[str, Any]) -> None:
    """Write a folder for TensorFlow Serving; its signature has the names of every export.

    Args:
        record: The classifier.
        target: The folder.
        metadata: Of `metadata_of`; it lies in the folder.
    """
    model = export_model(record)

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {OUTPUT_NAME: model(image, training=False)}

    module = tf.Module()
    module.network = model
    shape = (None, *model.input_shape[1:])
    module.serve = tf.function(
        serve, input_signature=[tf.TensorSpec(shape, tf.uint8, INPUT_NAME)], autograph=False
    )
    with silenced_stderr():
        tf.saved_model.save(module, str(target), signatures=module.serve)
    write_text_atomically(target / METADATA_NAME, _text(metadata))


def _with_stock_initializers(model: keras.Model) -> keras.Model:
    """Copy a network without the initializers of imgclf, which its weights need no more."""

    def stock(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        for key, value in config.items():
            own = isinstance(value, dict) and str(value.get("module")).startswith("imgclf.")
            if key.endswith("_initializer") and own:
                config[key] = "zeros"
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=stock, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _text(metadata: Mapping[str, Any]) -> str:
    return json.dumps(metadata, indent=1, ensure_ascii=False) + "\n"
