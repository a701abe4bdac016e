from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from imgclf.data.batches.augmentation import PRESETS, Augmentation
from imgclf.data.batches.batch_source import BatchSource, encode_labels
from imgclf.data.store.pixel_store import StoredPixels

if TYPE_CHECKING:
    from imgclf.data.pixels.input_policy import DataFormat

THREE_CLASSES = np.arange(10) % 3
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3)).astype(np.uint8)


def source(
    *,
    shuffled: bool = True,
    seed: int = 0,
    augmentation: Augmentation = PRESETS["none"],
    data_format: DataFormat = "channels_last",
    varied_once: bool = False,
    oversampled: bool = False,
    labels: np.ndarray = THREE_CLASSES,
) -> BatchSource:
    """Make batches of four of the even rows."""
    return BatchSource(
        pixels=StoredPixels(PIXELS),
        rows=np.arange(0, 20, 2, dtype=np.int32),
        labels=labels,
        num_classes=3,
        batch_size=4,
        shuffled=shuffled,
        augmentation=augmentation,
        data_format=data_format,
        seed=seed,
        varied_once=varied_once,
        oversampled=oversampled,
    )


def epoch(batches: BatchSource, number: int) -> np.ndarray:
    """Return all images of an epoch."""
    return np.concatenate([batches.load(number, step)[0] for step in range(3)])


def test_an_epoch_shows_each_image_once() -> None:
    """Ten images in batches of four make 4 + 4 + 2, and none is shown twice or left out."""
    batches = source()
    assert (batches.num_samples, batches.steps_per_epoch) == (10, 3)
    images = epoch(batches, 5)
    assert len(images) == 10
    assert {image.tobytes() for image in images} == {
        PIXELS[row].tobytes() for row in range(0, 20, 2)
    }


def test_every_epoch_has_its_own_order() -> None:
    """Epochs differ from each other; the same epoch is always the same."""
    batches = source()
    assert epoch(batches, 0).tobytes() != epoch(batches, 1).tobytes()
    assert epoch(batches, 1).tobytes() == epoch(source(), 1).tobytes()
    assert epoch(batches, 1).tobytes() != epoch(source(seed=1), 1).tobytes()


def test_labels_follow_their_images() -> None:
    """After shuffling each image still has its own label."""
    label_of = {PIXELS[row].tobytes(): number % 3 for number, row in enumerate(range(0, 20, 2))}
    images, targets = source().load(3, 1)
    assert [label_of[image.tobytes()] for image in images] == targets.argmax(axis=1).tolist()


def test_held_out_images_keep_their_order() -> None:
    """Without shuffling, images come as they are listed, in every epoch."""
    batches = source(shuffled=False)
    np.testing.assert_array_equal(epoch(batches, 0), PIXELS[::2])
    np.testing.assert_array_equal(epoch(batches, 7), PIXELS[::2])


def test_held_out_images_are_varied_once() -> None:
    """Mirrored validation images are mirrored in the same way in every epoch."""
    batches = source(
        shuffled=False, augmentation=Augmentation(horizontal_flip=True), varied_once=True
    )
    np.testing.assert_array_equal(epoch(batches, 0), epoch(batches, 4))
    assert (epoch(batches, 0) != PIXELS[::2]).any()


def test_axes_are_turned_on_request() -> None:
    """channels_first gives the same images with the channels in front."""
    last, _ = source(augmentation=PRESETS["strong"]).load(0, 0)
    first, _ = source(augmentation=PRESETS["strong"], data_format="channels_first").load(0, 0)
    assert first.shape == (4, 3, 6, 5)
    assert first.flags.c_contiguous
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), last)


@pytest.mark.parametrize(
    ("num_classes", "expected"),
    [(2, [[0.0], [1.0], [1.0]]), (3, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])],
)
def test_labels_fit_the_head(num_classes: int, expected: list[list[float]]) -> None:
    """Two classes give one column, more give one column each, float32."""
    encoded = encode_labels(np.array([0, 1, 1]), num_classes)
    assert encoded.dtype == np.float32
    assert encoded.tolist() == expected


def test_oversampling_makes_classes_equally_frequent() -> None:
    """Seven images of one class and three of two others: each class comes seven times an epoch."""
    labels = np.array([0, 0, 0, 0, 0, 0, 0, 1, 2, 2])
    batches = source(oversampled=True, labels=labels)
    assert (batches.num_samples, batches.images_per_epoch, batches.steps_per_epoch) == (10, 21, 6)
    shown = [batches.load(0, step) for step in range(6)]
    assert sum(len(images) for images, _ in shown) == 21
    np.testing.assert_array_equal(sum(targets.sum(axis=0) for _, targets in shown), [7, 7, 7])
    images = np.concatenate([images for images, _ in shown])
    counts = [(images == PIXELS[row]).all(axis=(1, 2, 3)).sum() for row in range(0, 20, 2)]
    assert counts[:8] == [1] * 7 + [7]
    assert sorted(counts[8:]) == [3, 4]


def test_oversampled_images_take_turns() -> None:
    """Which image comes once more than the others changes from epoch to epoch."""
    batches = source(oversampled=True, labels=np.array([0, 0, 0, 0, 0, 0, 0, 1, 2, 2]))
    extra = set()
    for number in range(2):
        images = np.concatenate([batches.load(number, step)[0] for step in range(6)])
        counts = [(images == PIXELS[row]).all(axis=(1, 2, 3)).sum() for row in (16, 18)]
        extra.add(int(np.argmax(counts)))
    assert extra == {0, 1}


def test_an_image_that_comes_again_is_varied_anew() -> None:
    """Repeating one picture of a rare class seven times would teach that picture by heart."""
    batches = source(
        oversampled=True,
        labels=np.array([0, 0, 0, 0, 0, 0, 0, 1, 2, 2]),
        augmentation=PRESETS["strong"],
    )
    rare = [
        image.tobytes()
        for images, targets in (batches.load(0, step) for step in range(6))
        for image, target in zip(images, targets, strict=True)
        if target[1] == 1
    ]
    assert len(set(rare)) == len(rare) == 7


def test_batches_mix_images_and_labels() -> None:
    """MixUp and CutMix are options of the augmentation; batches carry soft labels then."""
    batches = source(augmentation=Augmentation(mixup=1.0))
    images, targets = batches.load(0, 0)
    assert images.dtype == np.uint8
    assert ((targets > 0) & (targets < 1)).any()
    np.testing.assert_array_equal(images, batches.load(0, 0)[0])
    assert (batches.load(1, 0)[0] != images).any()
