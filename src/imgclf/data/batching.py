"""Batches as a pure function of (epoch, step): which images, in which order, how varied."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from imgclf.data.augmentation import Augmentation, augment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.data.policy import DataFormat
    from imgclf.data.store import PixelSource

__all__ = ["BatchSource", "encode_labels"]


@dataclass(frozen=True, slots=True, eq=False)
class BatchSource:
    """Makes any batch of any epoch without knowing the ones before it.

    Attributes:
        pixels: Where decoded images come from.
        rows: ``(num_samples,)``, which images of `pixels` belong to the data set.
        labels: ``(num_samples,)`` class indices.
        num_classes: 2 or more.
        batch_size: Images per batch; the last batch of an epoch may be smaller.
        shuffled: Whether each epoch has an order of its own.
        augmentation: How images are varied.
        data_format: Order of the axes of a batch.
        seed: Decides order and augmentation.
        varied_once: Whether every epoch is varied in the same way, as validation images are.
    """

    pixels: PixelSource
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    num_classes: int
    batch_size: int
    shuffled: bool
    augmentation: Augmentation
    data_format: DataFormat
    seed: int
    varied_once: bool = False
    targets: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        """Encode all labels once."""
        object.__setattr__(self, "targets", encode_labels(self.labels, self.num_classes))

    @property
    def num_samples(self) -> int:
        """Images per epoch."""
        return len(self.rows)

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch: samples / batch size, rounded up."""
        return -(-self.num_samples // self.batch_size)

    def load(self, epoch: int, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Make one batch.

        Args:
            epoch: Counted from 0.
            step: Counted from 0, below `steps_per_epoch`.

        Returns:
            Images, uint8 ``(batch, height, width, channels)`` (or channels first), 0..255, and
            labels, float32 ``(batch, 1)`` for two classes or one-hot ``(batch, num_classes)``.
        """
        first = step * self.batch_size
        if self.shuffled:
            order = _epoch_order(self.num_samples, self.seed, epoch)
            chosen = order[first : first + self.batch_size]
        else:
            chosen = np.arange(first, min(first + self.batch_size, self.num_samples))
        images = augment(
            self.pixels.rows(self.rows[chosen]),
            self.rows[chosen],
            self.augmentation,
            seed=self.seed,
            epoch=0 if self.varied_once else epoch,
        )
        if self.data_format == "channels_first":
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return images, self.targets[chosen]


def encode_labels(labels: NDArray[np.int64], num_classes: int) -> NDArray[np.float32]:
    """Encode class indices as the head is trained on them (D8).

    Args:
        labels: ``(num_images,)`` class indices.
        num_classes: 2 or more.

    Returns:
        float32 ``(num_images, 1)``, 1 for the second class, for two classes; one-hot
        ``(num_images, num_classes)`` for more.
    """
    if num_classes == 2:
        return labels.astype(np.float32)[:, None]
    return np.eye(num_classes, dtype=np.float32)[labels]


@lru_cache(maxsize=4)  # The feeding threads work on one epoch, at its end on two.
def _epoch_order(num_samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed % 2**63, epoch)).permutation(num_samples)
