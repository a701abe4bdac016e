"""A head is written behind a converted network as the converter itself would have written it."""

from __future__ import annotations

import sys
from typing import Any

import keras
import numpy as np
import pytest

from imgclf.engines.litert import LiteRtNetwork
from imgclf.engines.litert_conversion import convert_to_litert
from imgclf.engines.litert_head import ALIGNMENT, append_head
from imgclf.errors import EngineError


@pytest.fixture(scope="module")
def parts() -> tuple[keras.Model, bytes]:
    """Return a network from the image to two outputs, a small map's mean and features."""
    keras.utils.set_random_seed(0)
    image = keras.Input((20, 24, 3), dtype="uint8", name="image")
    maps = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    maps = keras.layers.Conv2D(7, 3, strides=2, activation="relu", name="conv1")(maps)
    first = keras.ops.mean(maps, axis=(1, 2))
    maps = keras.layers.Conv2D(11, 3, strides=2, activation="relu", name="conv2")(maps)
    features = keras.layers.GlobalAveragePooling2D(name="pooling")(maps)
    model = keras.Model(image, [first, features])
    return model, convert_to_litert(model)


def draw_head(units: int) -> tuple[Any, Any]:
    """Return a kernel and a bias."""
    rng = np.random.default_rng(units)
    kernel = rng.normal(0, 2, (11, units)).astype(np.float32)
    return kernel, rng.normal(size=units).astype(np.float32)


@pytest.mark.parametrize(("units", "activation"), [(1, "sigmoid"), (3, "softmax"), (40, "softmax")])
def test_it_answers_as_if_both_had_been_converted(
    units: int, activation: Any, parts: tuple[keras.Model, bytes]
) -> None:
    """The same probabilities for any number of images, in front of the same outputs as before."""
    model, content = parts
    kernel, bias = draw_head(units)
    dense = keras.layers.Dense(units, activation=activation, name="head")
    whole = keras.Model(model.inputs[0], [dense(model.outputs[1]), *model.outputs])
    dense.set_weights([kernel, bias])
    images = np.random.default_rng(1).integers(0, 256, (9, 20, 24, 3), np.uint8)
    expected = LiteRtNetwork(convert_to_litert(whole))(images)
    network = LiteRtNetwork(append_head(content, kernel, bias, activation))
    assert network.output_sizes == (units, 7, 11)
    for ours, theirs in zip(network(images), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_array_equal(network(images[4:5])[0], network(images)[0][4:5])


def test_weights_begin_where_the_processor_reads_them_fast(
    parts: tuple[keras.Model, bytes],
) -> None:
    """Kernels of the network and of the head lie at multiples of 16 bytes, as the format wants."""
    model, content = parts
    kernel, bias = draw_head(3)
    extended = append_head(content, kernel, bias, "softmax")
    of_network = model.get_layer("conv2").get_weights()[0].transpose(3, 0, 1, 2)
    for weights in (kernel.T, of_network):
        place = extended.find(weights.tobytes())
        assert place > 0
        assert place % ALIGNMENT == 0


def test_what_cannot_be_joined_is_one_line(
    parts: tuple[keras.Model, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head for other features, or a LiteRT without the description of its format."""
    kernel, bias = draw_head(3)
    with pytest.raises(EngineError, match="other features than the head reads"):
        append_head(parts[1], kernel[:10], bias, "softmax")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.schema_py_generated", None)
    with pytest.raises(EngineError, match="convert both together"):
        append_head(parts[1], kernel, bias, "softmax")
