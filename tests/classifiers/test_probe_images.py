"""The promise of the probe: a file's weights count, and large images make no large file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imgclf.classifiers.probe_images import PROBE_BYTES, make_probe
from imgclf.data.pixels.input_policy import InputPolicy


def answers(images: Any, _watch: Any) -> Any:
    """Return the same probabilities for each image."""
    return np.full((len(images), 3), 1 / 3)


@pytest.mark.parametrize(("side", "num_images"), [(24, 8), (224, 8), (512, 5), (1024, 4)])
def test_the_stored_images_keep_to_their_size(side: int, num_images: int) -> None:
    """Up to eight images are stored, as many as fit 4 MiB, four at least, and no two are equal."""
    probe = make_probe(InputPolicy((side, side)), answers)
    assert probe["image"].shape == (num_images, side, side, 3)
    assert probe["output"].shape == (num_images, 3)
    assert num_images == 4 or probe["image"].nbytes <= PROBE_BYTES
    assert len({image.tobytes() for image in probe["image"]}) == num_images
