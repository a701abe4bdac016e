"""The refit's images: training and validation together, each with its own label."""

from __future__ import annotations

from typing import Any

import numpy as np

from imgclf.data.batches.image_data import build_data
from imgclf.tuning.refit import join_batches


def test_joined_batches_hold_every_image_once(batches: Any) -> None:
    """All training and validation images come, each once an epoch, with their own labels."""
    train, val = batches
    data = build_data(train.plan)
    joined = join_batches(data)
    assert joined.num_samples == train.num_samples + val.num_samples
    seen = {}
    for step in range(joined.steps_per_epoch):
        images, labels = joined.source.load(0, step)
        for image, label in zip(images, labels, strict=True):
            seen[image.tobytes()] = float(label[0])
    wanted = {}
    for part in (train, val):
        pixels = np.concatenate(list(part.pixels()))
        wanted |= {image.tobytes(): float(label)
                   for image, label in zip(pixels, part.labels, strict=True)}  # fmt: skip
    assert seen == wanted
