"""Augmentation: one composed affine warp per image, then colour and random erasing.

Random numbers are a function of (seed, epoch, index of the image), never of the order in which
batches are made: the same seed gives the same pixels in every process.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from imgclf.arguments import require_number
from imgclf.errors import ArgumentError

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray

    _Numbers: TypeAlias = NDArray[np.float64] | float

__all__ = ["PRESETS", "Augmentation", "affine_matrix", "augment", "resolve_augmentation", "warp"]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges of the random changes to training images; 0 and False mean none.

    The geometric parameters mean what they meant in the old `ImageDataGenerator`.

    Attributes:
        shear_range: Largest shear angle in degrees, 0 to 90 (exclusive). The recipe's 0.2 is a
            fifth of a degree.
        zoom_range: Largest relative zoom, 0 to 1 (exclusive), drawn for height and width
            independently.
        rotation_range: Largest rotation in degrees, 0 to 180.
        shift_range: Largest shift, as a share of height and width, 0 to 1; by whole pixels where
            nothing else resamples the image.
        horizontal_flip: Whether half of the images are mirrored.
        brightness_range: Largest relative change of brightness, 0 to 1.
        contrast_range: Largest relative change of contrast, 0 to 1.
        saturation_range: Largest relative change of saturation, 0 to 1; grey images have none.
        erase_range: Largest erased rectangle (Zhong et al. 2017, arXiv:1708.04896), as a share of
            height and width, 0 to 1; half of the images get one, filled with their mean colour.
        mixup: Alpha of MixUp, 0 to 10: images of a batch are laid over each other, their labels are
            mixed alike. 0.2 keeps most images nearly as they are, 1 takes every share. Usual
            are long trainings of large networks; see `imgclf.data.batches.mixtures`.
        cutmix: Alpha of CutMix, 0 to 10; usual is 1. With `mixup` too, each batch has one of them.

    Raises:
        ArgumentError: A value is out of its range; the message names it.

    Example:
        >>> turned = imgclf.Augmentation(rotation_range=10, shift_range=0.1)
        >>> train, val = imgclf.make_generators("photos/", augment=turned)  # doctest: +SKIP
    """

    shear_range: float = 0.0
    zoom_range: float = 0.0
    rotation_range: float = 0.0
    shift_range: float = 0.0
    horizontal_flip: bool = False
    brightness_range: float = 0.0
    contrast_range: float = 0.0
    saturation_range: float = 0.0
    erase_range: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name, bound in _BOUNDS.items():
            accepted = f"a number from 0 to {bound:g}"
            require_number(
                name, getattr(self, name), 0, bound, accepted=accepted, high_included=True
            )
        if not isinstance(self.horizontal_flip, bool):
            raise ArgumentError(
                f"horizontal_flip={self.horizontal_flip!r} is not accepted: give True or False."
            )

    @property
    def mixes(self) -> bool:
        """Whether images of a batch are mixed with each other."""
        return bool(self.mixup or self.cutmix)

    @property
    def changes_images(self) -> bool:
        """Whether single images are changed; MixUp and CutMix change whole batches."""
        return any(getattr(self, name) for name in _OF_SINGLE_IMAGES)

    @property
    def recolours(self) -> bool:
        """Whether brightness, contrast or saturation change."""
        return bool(self.brightness_range or self.contrast_range or self.saturation_range)


_BOUNDS = {
    "shear_range": 89.0,
    "zoom_range": 0.99,
    "rotation_range": 180.0,
    "shift_range": 1.0,
    "brightness_range": 1.0,
    "contrast_range": 1.0,
    "saturation_range": 1.0,
    "erase_range": 1.0,
    "mixup": 10.0,
    "cutmix": 10.0,
}

_OF_SINGLE_IMAGES = ("horizontal_flip", *(_BOUNDS.keys() - {"mixup", "cutmix"}))

PRESETS: dict[str, Augmentation] = {
    "none": Augmentation(),
    # The origin's values: shear in degrees as the old generator read it, and no mirroring.
    "classic": Augmentation(shear_range=0.2, zoom_range=0.2),
    "light": Augmentation(shift_range=0.1, horizontal_flip=True),
    "strong": Augmentation(
        shear_range=8.0,
        zoom_range=0.25,
        rotation_range=15.0,
        shift_range=0.12,
        horizontal_flip=True,
        brightness_range=0.25,
        contrast_range=0.25,
        saturation_range=0.4,
        erase_range=0.4,
    ),
}
"""Augmentations by name."""


def resolve_augmentation(given: str | Augmentation, **overrides: Any) -> Augmentation:
    """Return an augmentation by its preset's name, with single parameters replaced.

    Args:
        given: A preset's name or an `Augmentation`.
        **overrides: Parameters that replace the preset's; None keeps the preset's.

    Returns:
        The augmentation.

    Raises:
        ArgumentError: The name is unknown or a parameter is out of range.
    """
    if isinstance(given, str):
        if given not in PRESETS:
            raise ArgumentError(
                f"augment={given!r} is not accepted: give one of {', '.join(PRESETS)}."
            )
        given = PRESETS[given]
    if not isinstance(given, Augmentation):
        raise ArgumentError(
            f"augment={given!r} is not accepted: give one of {', '.join(PRESETS)}, or an "
            "imgclf.Augmentation."
        )
    changed = {name: value for name, value in overrides.items() if value is not None}
    return Augmentation(**{**asdict(given), **changed}) if changed else given


def affine_matrix(
    *,
    height: int,
    width: int,
    shear: _Numbers = 0.0,
    zoom_x: _Numbers = 1.0,
    zoom_y: _Numbers = 1.0,
    rotation: _Numbers = 0.0,
    shift_x: _Numbers = 0.0,
    shift_y: _Numbers = 0.0,
    mirrored: NDArray[np.bool_] | bool = False,
) -> NDArray[np.float64]:
    """Compose warps in the order of the old `ImageDataGenerator`: rotate, shift, shear, zoom.

    For square images it is the same warp to the last digit. The old code turned other images about
    ``(height / 2, width / 2)`` with the axes exchanged, so they slid sideways; this one turns
    all images about their centre.

    Every parameter but the size is one number, or ``(batch,)`` numbers for as many warps: made
    together they cost a small image less than its resampling does, one by one several times more.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        shear: Degrees.
        zoom_x: Input pixels per output pixel across; below 1 enlarges.
        zoom_y: Input pixels per output pixel down; below 1 enlarges.
        rotation: Degrees.
        shift_x: Pixels.
        shift_y: Pixels.
        mirrored: Whether left and right are exchanged after the warp.

    Returns:
        ``(2, 3)`` or ``(batch, 2, 3)``, from output ``(x, y, 1)`` to input ``(x, y)``, as `warp`
        wants it.
    """
    angle, slant = np.deg2rad(rotation), np.deg2rad(shear)
    cosine, sine = np.cos(angle), np.sin(angle)
    # Turn times skew times zoom, multiplied out.
    x_of_x, x_of_y = cosine * zoom_x, -np.sin(angle + slant) * zoom_y
    y_of_x, y_of_y = sine * zoom_x, np.cos(angle + slant) * zoom_y
    centre_x, centre_y = width / 2 - 0.5, height / 2 - 0.5
    from_x = cosine * shift_x - sine * shift_y + centre_x - x_of_x * centre_x - x_of_y * centre_y
    from_y = sine * shift_x + cosine * shift_y + centre_y - y_of_x * centre_x - y_of_y * centre_y
    from_x = np.where(mirrored, from_x + x_of_x * (width - 1), from_x)
    from_y = np.where(mirrored, from_y + y_of_x * (width - 1), from_y)
    sign = np.where(mirrored, -1.0, 1.0)
    cells = (sign * x_of_x, x_of_y, from_x, sign * y_of_x, y_of_y, from_y)
    matrix: NDArray[np.float64] = np.stack(np.broadcast_arrays(*cells), axis=-1)
    return matrix.reshape(*matrix.shape[:-1], 2, 3)


def warp(
    image: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    target: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Resample an image through an affine matrix, bilinear; the border repeats the edge.

    Args:
        image: ``(height, width, channels)``, uint8.
        matrix: ``(2, 3)``, from output ``(x, y, 1)`` to input ``(x, y)``.
        target: Where the result is written, an array like `image`; None makes one.

    Returns:
        ``(height, width, channels)``, uint8.
    """
    size = image.shape[1], image.shape[0]
    warped = cv2.warpAffine(image, matrix, size, target, _BILINEAR, cv2.BORDER_REPLICATE)
    return warped.reshape(image.shape)  # type: ignore[no-any-return]


_BILINEAR = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def augment(
    images: NDArray[np.uint8],
    indices: NDArray[np.int64],
    augmentation: Augmentation,
    *,
    seed: int,
    epoch: int,
) -> NDArray[np.uint8]:
    """Augment a batch of images.

    Args:
        images: ``(batch, height, width, channels)``, uint8, 0..255.
        indices: ``(batch,)``, index of each image in the data set; equal ones change alike.
        augmentation: Ranges of the changes.
        seed: The training's seed.
        epoch: Counted from 0; each epoch changes the images anew.

    Returns:
        A new array like `images`.
    """
    if not augmentation.changes_images:
        return images
    draws = _uniform(seed, epoch, indices, _NUM_DRAWS)
    augmented = _warp_at_random(images, augmentation, draws[:, :8])
    if augmentation.recolours or augmentation.erase_range:
        for image, draw in zip(augmented, draws, strict=True):
            image[:] = _recolour(image, augmentation, draw[8:11])
            _erase(image, augmentation, draw[11:16])
    return augmented


_NUM_DRAWS = 16
_HALF = 0.5  # of all images are mirrored, and half get a hole


def _uniform(seed: int, epoch: int, indices: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Draw ``(len(indices), count)`` numbers in [0, 1) that depend on nothing but the arguments.

    A counter-based generator: SplitMix64 (Steele, Lea and Flood 2014) over a hashed key.
    """
    with np.errstate(over="ignore"):
        key = _mix(np.uint64(seed % 2**64) + _GOLDEN * np.uint64(epoch + 1))
        rows = _mix(key + _GOLDEN * indices.astype(np.uint64)[:, None])
        cells = _mix(rows + _GOLDEN * np.arange(1, count + 1, dtype=np.uint64)[None, :])
    uniform: NDArray[np.float64] = (cells >> np.uint64(11)).astype(np.float64) / 2.0**53
    return uniform


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(values: Any) -> Any:
    """Scramble 64-bit numbers (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _warp_at_random(
    images: NDArray[np.uint8], limits: Augmentation, draws: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Warp each image of a batch into a new array."""
    height, width = images.shape[1:3]
    signed = 2 * draws.T - 1
    mirrored = limits.horizontal_flip & (draws[:, 6] < _HALF)
    shift_x = signed[4] * limits.shift_range * width
    shift_y = signed[5] * limits.shift_range * height
    resampled = limits.shear_range or limits.zoom_range or limits.rotation_range
    if not (resampled or limits.shift_range):
        return np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
    if not resampled:
        # Whole pixels: half ones would blur, which small images cannot afford.
        shift_x, shift_y = np.round(shift_x), np.round(shift_y)
    matrices = affine_matrix(
        height=height,
        width=width,
        shear=signed[0] * limits.shear_range,
        zoom_x=1 + signed[1] * limits.zoom_range,
        zoom_y=1 + signed[2] * limits.zoom_range,
        rotation=signed[3] * limits.rotation_range,
        shift_x=shift_x,
        shift_y=shift_y,
        mirrored=mirrored,
    )
    warped = np.empty_like(images)
    size, border = (width, height), cv2.BORDER_REPLICATE
    for image, matrix, target in zip(images, matrices, warped, strict=True):
        # As `warp`, whose call would cost a tenth of a small image's time.
        cv2.warpAffine(image, matrix, size, target, _BILINEAR, border)
    return warped


def _recolour(
    image: NDArray[np.uint8], limits: Augmentation, draw: NDArray[np.float64]
) -> NDArray[np.uint8]:
    brightness, contrast, saturation = (2 * draw - 1) * (
        limits.brightness_range,
        limits.contrast_range,
        limits.saturation_range,
    )
    if limits.saturation_range and image.shape[2] > 1:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        image = cv2.addWeighted(image, 1 + saturation, grey, -saturation, 0.0)
    if limits.brightness_range or limits.contrast_range:
        # Both in one table of 256 values; contrast turns about mid-grey.
        levels = (np.arange(256) - 127.5) * (1 + contrast) + 127.5
        table = np.clip(levels * (1 + brightness), 0, 255).round().astype(np.uint8)
        image = cv2.LUT(image, table).reshape(image.shape)
    return image


def _erase(image: NDArray[np.uint8], limits: Augmentation, draw: NDArray[np.float64]) -> None:
    """Fill a rectangle of an image, in place, if the draw says so."""
    if not limits.erase_range or draw[0] < _HALF:
        return
    height, width = image.shape[:2]
    rows = max(1, round(draw[1] * limits.erase_range * height))
    columns = max(1, round(draw[2] * limits.erase_range * width))
    top, left = int(draw[3] * (height - rows + 1)), int(draw[4] * (width - columns + 1))
    image[top : top + rows, left : left + columns] = cv2.mean(image)[: image.shape[2]]
