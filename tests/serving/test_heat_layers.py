"""A heat map lies over the part of the photo that it is about."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from imgclf.data.pixels.decoder import decode
from imgclf.data.pixels.input_policy import InputPolicy, ResizeMode
from imgclf.serving.heat_layers import LONGEST_SIDE, heat_layer, heat_over_photo


@pytest.mark.parametrize("resize", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size", [(900, 400), (300, 500), (64, 64)])
def test_heat_lies_where_the_photo_had_it(resize: ResizeMode, size: tuple[int, int]) -> None:
    """A bright spot of a photo, as the network reads it, is laid over that very spot."""
    width, height = size
    photo = np.zeros((height, width), np.uint8)
    centre = round(0.6 * height), round(0.55 * width)
    spread = max(6, min(size) // 8)
    photo[centre[0] - spread : centre[0] + spread, centre[1] - spread : centre[1] + spread] = 255
    policy = InputPolicy((96, 64), channels=1, resize=resize, background=(0, 0, 0))
    heatmap = decode(photo, policy)[..., 0].astype(np.float32) / 255
    layer = heat_over_photo(heatmap, size, resize)
    scale = min(1, LONGEST_SIDE / max(size))
    assert layer.shape == (round(height * scale), round(width * scale))
    hot = np.argwhere(layer > 0.5).mean(axis=0) / layer.shape
    assert hot == pytest.approx([centre[0] / height, centre[1] / width], abs=0.03)


def test_cold_is_transparent() -> None:
    """Where nothing spoke for the class the photo is seen as it is; heat is red."""
    heatmap = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    picture = Image.open(io.BytesIO(heat_layer(heatmap)))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", (16, 16))
    pixels = np.asarray(picture)
    assert pixels[0, 0, 3] == 0
    assert (np.diff(pixels[..., 3].ravel().astype(int)) >= 0).all()
    red, green, blue, opacity = pixels[-1, -1].tolist()
    assert red > green + blue
    assert 128 < opacity < 255
