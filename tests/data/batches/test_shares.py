"""The workers' parts of a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import imgclf
from imgclf.data.batches.batch_source import part_of


@pytest.mark.parametrize(("size", "num_workers"), [(1, 1), (13, 2), (8, 3), (3, 3), (7, 5)])
def test_parts_make_the_whole_batch(size: int, num_workers: int) -> None:
    """Each place of a batch is in one part, and parts differ by one image at the most."""
    parts = [range(size)[part_of(size, worker, num_workers)] for worker in range(num_workers)]
    assert [place for part in parts for place in part] == list(range(size))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("mixed", [{}, {"mixup": 0.4}, {"cutmix": 1.0}])
def test_shares_are_the_images_of_one_machine(two_classes: Path, mixed: dict[str, float]) -> None:
    """The workers' parts together are the batch that one machine makes, to the last pixel."""
    change = imgclf.Augmentation(horizontal_flip=True, rotation_range=20, erase_range=0.3, **mixed)
    train, _ = imgclf.make_generators(two_classes, image_size=24, batch_size=9, augment=change)
    shares = [train.share(worker, 2) for worker in range(2)]
    assert {share.steps_per_epoch for share in shares} == {train.steps_per_epoch}
    for step in (0, train.steps_per_epoch - 1):
        whole = train.source.load(2, step)
        parts = zip(*(share.source.load(2, step) for share in shares), strict=True)
        for expected, found in zip(whole, parts, strict=True):
            np.testing.assert_array_equal(np.concatenate(found), expected)
