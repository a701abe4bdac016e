from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgclf.data.batches.augmentation import (
    PRESETS,
    Augmentation,
    affine_matrix,
    augment,
    resolve_augmentation,
    warp,
)
from imgclf.errors import ArgumentError


def photos(count: int = 4, size: tuple[int, int] = (40, 40), channels: int = 3) -> np.ndarray:
    """Make smooth pictures."""
    made = np.random.default_rng(3).integers(0, 256, (count, 6, 6, 3)).astype(np.uint8)
    pictures = [Image.fromarray(one).resize(size[::-1], Image.Resampling.BICUBIC) for one in made]
    return np.stack([np.asarray(picture) for picture in pictures])[..., :channels].copy()


ROWS = np.arange(4)


# --- The old generator -----------------------------------------------------------------------

WARPS: list[dict[str, Any]] = [
    {"shear": 0.2},
    {"shear": 20.0},
    {"zoom_x": 0.8, "zoom_y": 1.2},
    {"rotation": 30.0},
    {"shift_x": 3.0, "shift_y": -2.5},
    {"mirrored": True},
    {"shear": -0.13, "zoom_x": 1.17, "zoom_y": 0.83},
    {"shear": 9.0, "zoom_x": 1.1, "zoom_y": 0.9, "rotation": -12.0, "shift_x": 2.0, "shift_y": 1.0,
     "mirrored": True},
]  # fmt: skip
OLD_NAMES = {
    "shear": "shear",
    "zoom_x": "zx",
    "zoom_y": "zy",
    "rotation": "theta",
    "shift_x": "tx",
    "shift_y": "ty",
    "mirrored": "flip_horizontal",
}


@pytest.mark.parametrize("parameters", WARPS)
def test_the_warp_is_that_of_the_old_generator(parameters: dict[str, Any]) -> None:
    """Any mix of shear, zoom, rotation, shift and mirroring is within 1 of 255 of the old one."""
    pytest.importorskip("scipy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf

        generator = tf.keras.preprocessing.image.ImageDataGenerator(fill_mode="nearest")
    image = photos(1)[0]
    height, width = image.shape[:2]
    ours = warp(image, affine_matrix(height=height, width=width, **parameters))
    theirs = generator.apply_transform(
        image.astype(np.float32), {OLD_NAMES[name]: value for name, value in parameters.items()}
    )
    assert np.abs(ours.astype(float) - theirs).max() <= 1.0


def test_the_recipe_draws_from_the_old_ranges() -> None:
    """The recipe is shear 0.2 degrees and zoom 0.2 for each axis, without mirroring."""
    recipe = PRESETS["classic"]
    assert (recipe.shear_range, recipe.zoom_range, recipe.horizontal_flip) == (0.2, 0.2, False)


# --- Reproducibility -------------------------------------------------------------------------

DIGEST = """
import hashlib, numpy as np
from imgclf.data.batches.augmentation import PRESETS, augment
images = (np.arange(4 * 30 * 30 * 3) % 251).astype(np.uint8).reshape(4, 30, 30, 3)
varied = augment(images, np.array([5, 0, 9, 2]), PRESETS["strong"], seed=7, epoch=3)
print(hashlib.sha256(varied.tobytes()).hexdigest())
"""


def test_the_same_seed_gives_the_same_pixels_in_two_processes() -> None:
    """Nothing but seed, epoch and index decides, so two processes agree to the last bit."""
    images = (np.arange(4 * 30 * 30 * 3) % 251).astype(np.uint8).reshape(4, 30, 30, 3)
    varied = augment(images, np.array([5, 0, 9, 2]), PRESETS["strong"], seed=7, epoch=3)
    command = [sys.executable, "-c", DIGEST]
    other = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert other == hashlib.sha256(varied.tobytes()).hexdigest()


def test_an_image_is_varied_alike_in_every_batch() -> None:
    """Its neighbours in the batch play no part in how an image is varied."""
    images = photos()
    together = augment(images, ROWS, PRESETS["strong"], seed=1, epoch=2)
    for row in ROWS:
        alone = augment(images[[row]], ROWS[[row]], PRESETS["strong"], seed=1, epoch=2)
        np.testing.assert_array_equal(alone[0], together[row])


def test_seed_epoch_and_index_all_matter() -> None:
    """Another seed, epoch or index varies the same image otherwise."""
    image = photos(1)
    varied = {
        augment(image, np.array([row]), PRESETS["light"], seed=seed, epoch=epoch).tobytes()
        for row, seed, epoch in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    }
    assert len(varied) == 4


@pytest.mark.parametrize("seed", [0, -1, 2**63, 2**64 + 1])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    """Negative and huge seeds work."""
    augment(photos(), ROWS, PRESETS["strong"], seed=seed, epoch=10**6)


# --- What is done ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(40, 40), (17, 33), (1, 1)])
def test_every_preset_takes_every_shape(name: str, channels: int, size: tuple[int, int]) -> None:
    """Grey and colour, square and not, down to one pixel: shape and dtype stay."""
    images = photos(4, size, channels)
    varied = augment(images, ROWS, PRESETS[name], seed=0, epoch=0)
    assert varied.shape == images.shape
    assert varied.dtype == np.uint8


def test_nothing_is_done_without_being_asked() -> None:
    """The preset none returns the images themselves."""
    images = photos()
    assert augment(images, ROWS, PRESETS["none"], seed=0, epoch=0) is images


@pytest.mark.parametrize("name", PRESETS)
def test_the_originals_are_left_alone(name: str) -> None:
    """Stored pixels are never changed in place."""
    images = photos()
    before = images.copy()
    augment(images, ROWS, PRESETS[name], seed=0, epoch=0)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize(
    "parameter",
    ["shear_range", "zoom_range", "rotation_range", "shift_range", "horizontal_flip",
     "brightness_range", "contrast_range", "saturation_range", "erase_range"],
)  # fmt: skip
def test_each_parameter_does_something(parameter: str) -> None:
    """Every single parameter changes some of twenty images, also without any other."""
    images = np.concatenate([photos()] * 5)
    value: Any = True if parameter == "horizontal_flip" else 0.5
    value = 10.0 if parameter in ("shear_range", "rotation_range") else value
    varied = augment(images, np.arange(20), Augmentation(**{parameter: value}), seed=0, epoch=0)
    assert (varied != images).any(axis=(1, 2, 3)).sum() >= 5


def test_half_of_the_images_are_mirrored() -> None:
    """Mirroring alone gives either the image or its exact mirror image, about half each."""
    image = photos(1)[0]
    images = np.stack([image] * 400)
    varied = augment(images, np.arange(400), Augmentation(horizontal_flip=True), seed=0, epoch=0)
    mirrored = [bool((one == image[:, ::-1]).all()) for one in varied]
    assert all(bool((one == image).all()) != its for one, its in zip(varied, mirrored, strict=True))
    assert 160 < sum(mirrored) < 240


def test_images_turn_about_their_centre() -> None:
    """Also an image that is not square stays in place when it is enlarged."""
    image = np.zeros((31, 61, 1), np.uint8)
    image[15, 30] = 255
    warped = warp(image, affine_matrix(height=31, width=61, zoom_x=0.5, zoom_y=0.5, rotation=40))
    assert warped[15, 30, 0] == 255


# --- Naming and bounds -----------------------------------------------------------------------


def test_presets_go_by_name_and_can_be_changed() -> None:
    """A preset's name with one parameter replaced keeps the others."""
    changed = resolve_augmentation("classic", horizontal_flip=True, zoom_range=None)
    assert changed == Augmentation(shear_range=0.2, zoom_range=0.2, horizontal_flip=True)
    own = Augmentation(erase_range=0.1)
    assert resolve_augmentation(own) is own


def test_an_unknown_preset_is_refused() -> None:
    """The error lists the presets."""
    with pytest.raises(ArgumentError, match="none, classic, light, strong"):
        resolve_augmentation("heavy")


@pytest.mark.parametrize(
    "values",
    [{"shear_range": 90.0}, {"zoom_range": -0.1}, {"zoom_range": 1.0}, {"shift_range": True},
     {"horizontal_flip": 1}, {"erase_range": float("nan")}],
)  # fmt: skip
def test_values_out_of_range_are_refused(values: dict[str, Any]) -> None:
    """The error names the parameter."""
    with pytest.raises(ArgumentError, match=next(iter(values))):
        Augmentation(**values)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_warp_into_an_array_is_the_warp(channels: int) -> None:
    """Given a place of a batch to write to, grey or coloured, the same pixels stand there."""
    image = np.random.default_rng(0).integers(0, 256, (20, 31, channels), dtype=np.uint8)
    matrix = affine_matrix(height=20, width=31, zoom_x=0.7, rotation=25)
    batch = np.full((2, *image.shape), 7, np.uint8)
    warp(image, matrix, batch[1])
    np.testing.assert_array_equal(batch[1], warp(image, matrix))
    assert (batch[0] == 7).all()
