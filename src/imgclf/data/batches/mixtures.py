"""Mixtures of the images of a batch: MixUp and CutMix, with labels in proportion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.data.batches.augmentation import Augmentation

__all__ = ["mix"]

CHANCE = 0.5  # of MixUp for a batch, where both are on


def mix(
    images: NDArray[np.uint8],
    targets: NDArray[np.float32],
    augmentation: Augmentation,
    *,
    seed: int,
    epoch: int,
    step: int,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Mix each image of a batch with another of the batch, in random proportion.

    MixUp (Zhang et al. 2018, arXiv:1710.09412) lays one image over the other; CutMix (Yun et
    al. 2019, arXiv:1905.04899) puts a rectangle of the other in its place. The share that an image
    keeps is drawn from Beta(alpha, alpha). Where both are on, each batch has one of them.

    Args:
        images: ``(batch, height, width, channels)``, uint8, 0..255.
        targets: float32 ``(batch, 1)`` or one-hot ``(batch, num_classes)``.
        augmentation: Its `mixup` and `cutmix` are the alphas.
        seed: The training's seed.
        epoch: Counted from 0.
        step: The batch's place in the epoch.

    Returns:
        New arrays like `images` and `targets`; the targets of a pair are mixed by its share.
    """
    if not augmentation.mixes or len(images) < 2:
        return images, targets
    draw = np.random.default_rng((_MIXING, seed % 2**63, epoch, step))
    blends = bool(augmentation.mixup) and (not augmentation.cutmix or draw.random() < CHANCE)
    alpha = augmentation.mixup if blends else augmentation.cutmix
    kept = draw.beta(alpha, alpha, len(images))
    # A rotation by at least one place: no image is mixed with itself.
    partners = np.roll(np.arange(len(images)), draw.integers(1, len(images)))
    if blends:
        mixed = _blend(images, images[partners], kept)
    else:
        mixed, kept = _cut(images, images[partners], kept, draw)
    shares = kept.astype(np.float32)[:, None]
    return mixed, shares * targets + (1 - shares) * targets[partners]


_MIXING = 0x6D6978
"""Part of the seed, so that these random numbers differ from those of the shuffling."""


def _blend(
    images: NDArray[np.uint8], others: NDArray[np.uint8], kept: NDArray[np.float64]
) -> NDArray[np.uint8]:
    mixed = np.empty_like(images)
    for place, share in enumerate(kept.tolist()):
        blended = cv2.addWeighted(images[place], share, others[place], 1 - share, 0.0)
        mixed[place] = blended.reshape(images[place].shape)
    return mixed


def _cut(
    images: NDArray[np.uint8],
    others: NDArray[np.uint8],
    kept: NDArray[np.float64],
    draw: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Paste the rectangles, clipped at the border, which decides the share that is kept."""
    height, width = images.shape[1:3]
    sides = np.sqrt(1 - kept)[:, None] * (height, width)
    centres = draw.random((len(images), 2)) * (height, width)
    low = np.clip(np.round(centres - sides / 2), 0, (height, width)).astype(int)
    high = np.clip(np.round(centres + sides / 2), 0, (height, width)).astype(int)
    mixed = images.copy()
    for place, ((top, left), (bottom, right)) in enumerate(zip(low, high, strict=True)):
        mixed[place, top:bottom, left:right] = others[place, top:bottom, left:right]
    return mixed, 1 - np.prod(high - low, axis=1) / (height * width)
