"""Batches of an image folder, as a `tf.data.Dataset`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from imgclf.arguments import whole_number
from imgclf.data.batches.card import batches_card, batches_picture, summary
from imgclf.data.division.samples import pick
from imgclf.errors import ImgclfError
from imgclf.machine.hardware import available_processors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.data.batches.batch_source import BatchSource
    from imgclf.data.batches.plan import Plan
    from imgclf.data.division.samples import Sample
    from imgclf.data.pixels.input_policy import InputPolicy
    from imgclf.pictures.picture import Picture

__all__ = ["Batches", "as_written", "telling_failures"]

SMALL_PIXELS = 48 * 48
"""Most pixels of a small image, which is augmented in microseconds, mostly spent in Python: two
threads would wait for the interpreter's lock and be slower than one."""

SMALL_TOGETHER = 512
"""Small images loaded in one call, in as many batches as it takes: passing a batch to TensorFlow
costs nearly as much as augmenting 32 of them."""

SMALL_AHEAD = 4
"""Batches of small images that are prefetched, so that threads wake up less often."""


class Batches(tf.data.Dataset):
    """Batches of images and labels: a `tf.data.Dataset` with class names, paths and labels.

    Images are uint8 ``(batch, height, width, channels)``, 0..255 (``channels_first`` on request);
    labels are float32, ``(batch, 1)`` for two classes (1 is the second name) and one-hot
    ``(batch, num_classes)`` for more; between 0 and 1 where MixUp or CutMix mix images. Training
    batches come in a new order each time they are iterated over; iteration n gives the same batches
    in every process with the same seed.

    Example:
        >>> train, val = imgclf.make_generators("photos/")           # doctest: +SKIP
        >>> train.class_names, train.num_samples                     # doctest: +SKIP
        >>> images, labels = next(iter(train))                       # doctest: +SKIP
    """

    def __init__(
        self, source: BatchSource, class_names: Sequence[str], samples: Sequence[Sample], plan: Plan
    ) -> None:
        self._source = source
        self._class_names = tuple(class_names)
        self._samples = samples  # Not copied: there may be millions, in columns.
        self._plan = plan
        self._epoch = -1
        self.failure: ImgclfError | None = None
        """Why a batch could not be made: TensorFlow passes on a text, no exception."""
        self._dataset = self._every_epoch()
        super().__init__(self._dataset._variant_tensor)  # noqa: SLF001 - how datasets are derived

    def __repr__(self) -> str:
        """Say what the batches hold."""
        return f"<Batches: {summary(self._source, self.policy)}>"

    def _repr_html_(self) -> str:
        return batches_card(self._source, self.policy, self._class_names)

    def show(self, most: int = 16, *, epoch: int = 0) -> Picture:
        """Show the first images of an epoch as the network gets them, with their classes.

        Training images come varied by the augmentation, and mixed by MixUp and CutMix.

        Args:
            most: Images at the most, from 1 on.
            epoch: Which epoch, from 0 on: each varies the images in another way.

        Returns:
            A picture, which a notebook shows; ``.save("images.html")`` keeps it.

        Raises:
            ArgumentError: `most` or `epoch` is out of range.

        Example:
            >>> train.show()                                         # doctest: +SKIP
        """
        most, epoch = whole_number("most", most), whole_number("epoch", epoch, 0)
        return batches_picture(self._source, self._class_names, most, epoch)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; a label is an index into them."""
        return self._class_names

    @property
    def file_paths(self) -> tuple[str, ...]:
        """``(num_samples,)`` absolute paths, in unshuffled order."""
        return tuple(sample.path for sample in self._samples)

    @property
    def labels(self) -> NDArray[np.int64]:
        """``(num_samples,)`` class indices, in the order of `file_paths`."""
        return self._source.labels

    @property
    def samples(self) -> Sequence[Sample]:
        """``(num_samples,)`` path, label and hash of each image, in the order of `file_paths`."""
        return self._samples

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self._class_names)

    @property
    def num_samples(self) -> int:
        """Number of different images; oversampled ones come several times in an epoch."""
        return self._source.num_samples

    @property
    def images_per_epoch(self) -> int:
        """Images per epoch: `num_samples`, or more where rare classes are oversampled."""
        return self._source.images_per_epoch

    @property
    def batch_size(self) -> int:
        """Images per batch; the last one of an epoch may be smaller."""
        return self._source.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch: samples / batch size, rounded up."""
        return self._source.steps_per_epoch

    @property
    def policy(self) -> InputPolicy:
        """Size, channels and resizing of the images; a classifier records it."""
        return self._plan.policy

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one image, for `imgclf.build_model`."""
        return self._plan.policy.input_shape

    @property
    def plan(self) -> Plan:
        """The choices that the batches were made from; frozen and picklable."""
        return self._plan

    @property
    def source(self) -> BatchSource:
        """Any batch as NumPy arrays, as a function of epoch and step."""
        return self._source

    def stream(self, epoch: int = 0, step: int = 0) -> tf.data.Dataset:
        """Return an endless stream of batches from one epoch and step on.

        Args:
            epoch: First epoch, counted from 0.
            step: First batch in it, counted from 0.

        Returns:
            An infinite dataset.
        """
        steps = self.steps_per_epoch
        places = tf.data.Dataset.range(epoch * steps + step, np.iinfo(np.int64).max)
        return self._load(places.map(as_written(lambda place: (place // steps, place % steps))))

    def pixels(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the images, not shuffled and not augmented, a batch at a time.

        Yields:
            uint8 ``(batch, height, width, channels)``, in the order of `file_paths`.
        """
        for first in range(0, self.num_samples, self.batch_size):
            yield self._source.pixels.rows(self._source.rows[first : first + self.batch_size])

    def share(self, worker: int, num_workers: int) -> Batches:
        """Return the same batches, of each of which only a worker's part is made.

        Args:
            worker: Counted from 0.
            num_workers: Workers that share each batch.

        Returns:
            Batches with the same counts, classes and samples.
        """
        source = replace(self._source, share=(worker, num_workers))
        return Batches(source, self._class_names, self._samples, self._plan)

    def some(self, most: int) -> Batches:
        """Return batches of a part of the images, each class with its share.

        Args:
            most: Images at the most, about: every class keeps one.

        Returns:
            These batches where they are few enough, else others of evenly chosen images.
        """
        if self.num_samples <= most:
            return self
        source = self._source
        members = [np.flatnonzero(source.labels == label) for label in np.unique(source.labels)]
        kept = [
            images[
                np.linspace(
                    0, len(images) - 1, max(1, len(images) * most // self.num_samples)
                ).astype(np.int64)
            ]
            for images in members
        ]
        places = np.sort(np.concatenate(kept))
        part = replace(source, rows=source.rows[places], labels=source.labels[places])
        samples = pick(self._samples, places)
        return Batches(part, self._class_names, samples, self._plan)

    @property
    def element_spec(self) -> Any:
        """Types and shapes of a batch."""
        return self._dataset.element_spec

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._dataset]

    def _every_epoch(self) -> tf.data.Dataset:
        """Make each iteration the next epoch, under transformations such as ``repeat`` too."""

        def next_epoch() -> np.int64:
            self._epoch += 1
            return np.int64(self._epoch)

        def places(_: tf.Tensor) -> tf.data.Dataset:
            epoch = tf.numpy_function(next_epoch, [], tf.int64)
            steps = tf.data.Dataset.range(self.steps_per_epoch)
            return steps.map(as_written(lambda step: (epoch, step)))

        batches = self._load(tf.data.Dataset.range(1).flat_map(as_written(places)))
        return batches.apply(tf.data.experimental.assert_cardinality(self.steps_per_epoch))

    def _load(self, places: tf.data.Dataset) -> tf.data.Dataset:
        """Map (epoch, step) to batches, in order, in one or two threads."""
        height, width = self.policy.image_size
        if height * width <= SMALL_PIXELS:
            dataset = self._load_small(places)
        else:
            threads = min(2, available_processors())
            load = as_written(self._load_one)
            dataset = places.map(load, num_parallel_calls=threads, deterministic=True)
            dataset = dataset.prefetch(threads)
        options = tf.data.Options()
        # The autotuner's thread delays the end of about every second epoch, by seconds.
        options.autotune.enabled = False
        return dataset.with_options(options)

    def _load_one(self, epoch: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = tf.numpy_function(
            self._make_batch, [epoch, step], (tf.uint8, tf.float32), stateful=False
        )
        return self._of_known_shape(images, labels)

    def _make_batch(self, epoch: int, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        try:
            return self._source.load(epoch, step)
        except ImgclfError as error:
            self.failure = error
            raise

    def _load_small(self, places: tf.data.Dataset) -> tf.data.Dataset:
        """Load several batches in one call, in one thread, and split them again."""

        def load(
            epochs: NDArray[np.int64], steps: NDArray[np.int64]
        ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
            batches = [self._make_batch(*place) for place in zip(epochs, steps, strict=True)]
            images, labels = zip(*batches, strict=True)
            ends = np.cumsum([0, *map(len, labels)])
            return np.concatenate(images), np.concatenate(labels), ends

        def split(images: tf.Tensor, labels: tf.Tensor, ends: tf.Tensor) -> tf.data.Dataset:
            ends.set_shape((None,))

            def batch(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                first, end = ends[number], ends[number + 1]
                return self._of_known_shape(images[first:end], labels[first:end])

            return tf.data.Dataset.range(tf.size(ends, tf.int64) - 1).map(batch)

        def load_together(epochs: tf.Tensor, steps: tf.Tensor) -> Any:
            types = (tf.uint8, tf.float32, tf.int64)
            return tf.numpy_function(load, [epochs, steps], types, stateful=False)

        together = places.batch(max(1, SMALL_TOGETHER // self.batch_size))
        loaded = together.map(as_written(load_together), num_parallel_calls=1, deterministic=True)
        return loaded.prefetch(1).flat_map(as_written(split)).prefetch(SMALL_AHEAD)

    def _of_known_shape(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images.set_shape((None, *self.input_shape))
        labels.set_shape((None, 1 if self.num_classes == 2 else self.num_classes))
        return images, labels


def as_written(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep TensorFlow from reading a function's source for branches and loops.

    That takes time, and leaves a file in the temporary folder where the process does not end by
    itself.

    Args:
        function: A function without branches on and loops over tensors, for a dataset.

    Returns:
        The function, which TensorFlow calls as it is.
    """
    unchanged: Callable[..., Any] = tf.autograph.experimental.do_not_convert(function)
    return unchanged


@contextmanager
def telling_failures(*datasets: tf.data.Dataset | None) -> Iterator[None]:
    """Raise why a batch could not be made, in place of TensorFlow's error about its graph.

    Args:
        *datasets: What is iterated over in the context; of plain datasets nothing is known.

    Raises:
        ImgclfError: The reason, such as an image that was removed meanwhile.
    """
    try:
        yield
    except tf.errors.OpError as error:
        for dataset in datasets:
            if isinstance(dataset, Batches) and dataset.failure is not None:
                raise dataset.failure from error
        raise
