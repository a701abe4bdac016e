"""The precision of training steps is the one in which the network trains faster on the machine."""

from __future__ import annotations

import keras
import pytest

from imgclf.machine import precision
from imgclf.machine.precision import choose_precision


def network(convolution: keras.layers.Layer) -> keras.Model:
    """A network with a convolution inside another network."""
    image = keras.Input((8, 8, 3))
    features = keras.Sequential([convolution])(image)
    return keras.Model(image, keras.layers.Flatten()(features))


@pytest.mark.parametrize(
    ("flags", "plain", "depthwise"),
    [
        ({"avx2"}, "float32", "float32"),
        ({"avx512_bf16"}, "mixed_bfloat16", "float32"),
        ({"avx512_bf16", "amx_bf16"}, "mixed_bfloat16", "mixed_bfloat16"),
    ],
)
def test_depthwise_networks_need_more_than_avx512(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], plain: str, depthwise: str
) -> None:
    """With AVX512-BF16 alone they train half as fast in bfloat16 as in float32."""
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(precision, "has_gpu", lambda: False)
    usual = network(keras.layers.Conv2D(4, 3))
    by_channel = network(keras.layers.DepthwiseConv2D(3))
    assert choose_precision("auto") == plain
    assert choose_precision("auto", usual) == plain
    assert choose_precision("auto", by_channel) == depthwise
    assert choose_precision("mixed_bfloat16", by_channel) == "mixed_bfloat16"
