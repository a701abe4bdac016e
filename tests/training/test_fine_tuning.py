"""Fine-tuning keeps what a pretrained network knows of edges, colours and averages."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import imgclf
from imgclf.training.fine_tuning import fine_tuning
from imgclf.zoo.builder import named_weights


@pytest.mark.parametrize("shape", [(64, 64, 3), (100, 72, 3)], ids=str)
def test_layers_of_small_maps_alone_learn(shape: tuple[int, int, int]) -> None:
    """A step changes convolutions from an eighth of the sides on and the head, nothing else."""
    model = imgclf.build_model("efficientnet_lite", shape, 3, weights="none", dropout=0.0)
    before = {name: np.asarray(value) for name, value in named_weights(model).items()}
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
    convolutions = {one.name for one in model.layers if one.name.endswith("_conv")}
    kept = {
        name for name in convolutions if name.startswith(("stem", "block1_", "block2_", "block3_"))
    }
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


def test_sides_that_are_not_known_are_fine_tuned() -> None:
    """A network for images of any size has no maps of known sides: its convolutions all learn."""
    image = keras.Input((None, None, 3))
    convolution = keras.layers.Conv2D(4, 3, padding="same")
    normalisation = keras.layers.BatchNormalization()
    features = keras.layers.GlobalAveragePooling2D()(normalisation(convolution(image)))
    with fine_tuning(keras.Model(image, features)):
        assert convolution.trainable
        assert not normalisation.trainable
