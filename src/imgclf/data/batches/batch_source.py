"""The batch source: any batch as a pure function of epoch and step."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from imgclf.data.batches.augmentation import Augmentation, augment
from imgclf.data.batches.mixtures import mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.data.pixels.input_policy import DataFormat
    from imgclf.data.store.pixel_store import PixelSource

__all__ = ["BatchSource", "encode_labels", "part_of"]


@dataclass(frozen=True, slots=True, eq=False)
class BatchSource:
    """Makes any batch of any epoch, independently of the others.

    Attributes:
        pixels: Where decoded images come from.
        rows: ``(num_samples,)`` rows of the data set's images in `pixels`.
        labels: ``(num_samples,)`` class indices.
        num_classes: 2 or more.
        batch_size: Images per batch; the last batch of an epoch may be smaller.
        shuffled: Whether each epoch has an order of its own.
        augmentation: Random changes to the images.
        data_format: Order of the axes of a batch.
        seed: Decides order and augmentation.
        varied_once: Whether every epoch is augmented alike, as for validation.
        oversampled: Whether images of rare classes come several times in an epoch, each time varied
            in another way, so that all classes are equally frequent. Only with `shuffled`.
        share: Index and number of the workers that share each batch; this one makes its part.
    """

    pixels: PixelSource
    rows: NDArray[np.int32]
    labels: NDArray[np.int64]
    num_classes: int
    batch_size: int
    shuffled: bool
    augmentation: Augmentation
    data_format: DataFormat
    seed: int
    varied_once: bool = False
    oversampled: bool = False
    share: tuple[int, int] = (0, 1)
    members: tuple[NDArray[np.int64], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Part the images by class, where that is needed."""
        labels = np.unique(self.labels) if self.oversampled else ()
        classes = [np.flatnonzero(self.labels == label) for label in labels]
        object.__setattr__(self, "members", tuple(classes))

    @property
    def num_samples(self) -> int:
        """Different images of the data set."""
        return len(self.rows)

    @property
    def images_per_epoch(self) -> int:
        """Images per epoch, repeated ones counted each time."""
        if not self.oversampled:
            return len(self.rows)
        return len(self.members) * max(len(images) for images in self.members)

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch: images / batch size, rounded up."""
        return -(-self.images_per_epoch // self.batch_size)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the order of the images in an epoch.

        Args:
            epoch: Counted from 0.

        Returns:
            int64 ``(images_per_epoch,)``, indices into `rows`.
        """
        return self._images_at(self._places(int(epoch), slice(None)), int(epoch))[0]

    def load(self, epoch: int, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Make one batch, or the worker's part of it.

        Args:
            epoch: Counted from 0.
            step: Counted from 0, below `steps_per_epoch`.

        Returns:
            Images, uint8 ``(batch, height, width, channels)`` (or channels first), 0..255, and
            labels, float32 ``(batch, 1)`` for two classes or one-hot ``(batch, num_classes)``;
            between 0 and 1 where images are mixed.
        """
        place = self._places(epoch, slice(step * self.batch_size, (step + 1) * self.batch_size))
        ours = part_of(len(place), *self.share)
        if not self.augmentation.mixes:  # An image is mixed with any other of the whole batch.
            place, ours = place[ours], slice(None)
        chosen, turn = self._images_at(place, epoch)
        epoch = 0 if self.varied_once else epoch
        images = augment(
            self.pixels.rows(self.rows[chosen]),
            self.rows[chosen] + turn * _NEXT_TURN,
            self.augmentation,
            seed=self.seed,
            epoch=epoch,
        )
        targets = encode_labels(self.labels[chosen], self.num_classes)
        images, targets = mix(
            images, targets, self.augmentation, seed=self.seed, epoch=epoch, step=step
        )
        images, targets = images[ours], targets[ours]
        if self.data_format == "channels_first":
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return images, targets

    def _places(self, epoch: int, part: slice) -> NDArray[np.int64]:
        """Return a part of the order of an epoch, in which an image may come several times."""
        if self.shuffled:
            return _epoch_order(self.images_per_epoch, self.seed, epoch)[part].astype(np.int64)
        return np.arange(self.num_samples)[part]

    def _images_at(
        self, place: NDArray[np.int64], epoch: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the image at each place of an epoch, and how often it came before in the epoch."""
        if not self.oversampled:
            return place, np.zeros_like(place)
        largest = self.images_per_epoch // len(self.members)
        which_class, number = np.divmod(place, largest)
        chosen, turn = np.empty_like(place), np.empty_like(place)
        for index, images in enumerate(self.members):
            ours = which_class == index
            turn[ours], member = np.divmod(number[ours], len(images))
            # Each epoch begins elsewhere, so that the last, shorter turn comes to all of them.
            chosen[ours] = images[(member + epoch * largest) % len(images)]
        return chosen, turn


_NEXT_TURN = 2**40
"""Added to an image's index each time it comes again in an epoch, so that it is augmented anew."""


def part_of(batch_size: int, worker: int, num_workers: int) -> slice:
    """Return a worker's part of a batch; the parts differ by one image at the most.

    Args:
        batch_size: Images of the batch.
        worker: Counted from 0.
        num_workers: 1 or more.

    Returns:
        Consecutive places in the batch.

    Example:
        >>> part_of(5, 0, 2), part_of(5, 1, 2)
        (slice(0, 2, None), slice(2, 5, None))
    """
    return slice(batch_size * worker // num_workers, batch_size * (worker + 1) // num_workers)


def encode_labels(labels: NDArray[np.int64], num_classes: int) -> NDArray[np.float32]:
    """Encode class indices as training targets.

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


@lru_cache(maxsize=2)  # The feeding threads work on one epoch, at its end on two.
def _epoch_order(num_samples: int, seed: int, epoch: int) -> NDArray[np.int32]:
    order = np.arange(num_samples, dtype=np.int32)
    np.random.default_rng((seed % 2**63, epoch)).shuffle(order)
    return order
