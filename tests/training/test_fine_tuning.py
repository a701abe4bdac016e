"""Fine-tuning keeps what a pretrained network knows of edges, colours and averages."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import imgclf
from imgclf.training.fine_tuning import fine_tuning
from imgclf.zoo.builder import named_weights


@pytest.mark.parametrize(
    ("shape", "data_format"),
    [
        ((64, 64, 3), "channels_last"),
        ((100, 72, 3), "channels_last"),
        ((3, 64, 64), "channels_first"),
    ],
    ids=str,
)
def test_layers_of_small_maps_alone_learn(shape: tuple[int, int, int], data_format: Any) -> None:
    """A step changes convolutions from an eighth of the sides on and the head, nothing else."""
    model = imgclf.build_model(
        "efficientnet_lite", shape, 3, data_format=data_format, weights="none", dropout=0.0
    )
    before = {name: np.array(np.asarray(value)) for name, value in named_weights(model).items()}
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, *shape), np.uint8)
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    model.compile("adam", "categorical_crossentropy", jit_compile=False)
    with fine_tuning(model):
        model.fit(images, labels, verbose=0)
    after = named_weights(model)
    changed = {
        name.split("/")[0]
        for name in before
        if not np.array_equal(before[name], np.asarray(after[name]))
    }
    convolutions = {name.split("/")[0] for name in before if "_conv/" in name}
    first = ("stem", "block1_", "block2_", "block3_")
    kept = {name for name in convolutions if name.startswith(first)}
    kept.add("block4_expand_conv")  # The convolution behind it makes the map smaller.
    assert changed == convolutions - kept | {"head"}


def test_everything_learns_again_afterwards() -> None:
    """After the block, and after an exception in it, each layer is as trainable as before."""
    model = imgclf.build_model("efficientnet_lite", (64, 64, 3), 3, weights="none")
    model.get_layer("top_conv").trainable = False
    before = [layer.trainable for layer in model.layers]
    with pytest.raises(RuntimeError), fine_tuning(model):
        raise RuntimeError
    assert [layer.trainable for layer in model.layers] == before


def test_where_no_map_is_small_all_convolutions_learn() -> None:
    """A network whose maps stay large, or have no known sides, keeps its averages alone."""
    plain = imgclf.build_model("three_conv", (96, 96, 3), 3)
    with fine_tuning(plain):
        assert all(layer.trainable for layer in plain.layers)

    image = keras.Input((None, None, 3))
    convolution = keras.layers.Conv2D(4, 3, padding="same")
    normalisation = keras.layers.BatchNormalization()
    features = keras.layers.GlobalAveragePooling2D()(normalisation(convolution(image)))
    with fine_tuning(keras.Model(image, features)):
        assert convolution.trainable
        assert not normalisation.trainable


@keras.saving.register_keras_serializable("imgclf_tests")
class Twice(keras.layers.Layer):
    """A layer that calls another, which is part of no graph of its own."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.inner = keras.layers.Conv2D(4, 3, padding="same")

    def call(self, features: Any) -> Any:
        """Convolve."""
        return self.inner(features)


def test_layers_within_others_learn() -> None:
    """A convolution that a user's layer calls has no map of known sides: it is fine-tuned."""
    image = keras.Input((64, 64, 3))
    first = keras.layers.Conv2D(4, 3, strides=2, padding="same")
    twice = Twice()
    last = keras.layers.Conv2D(4, 3, strides=4, padding="same")
    features = keras.layers.GlobalAveragePooling2D()(last(twice(first(image))))
    with fine_tuning(keras.Model(image, features)):
        assert [one.trainable for one in (first, twice.inner, last)] == [False, True, True]
