"""Images by which a classifier is known again: its answers are stored beside its weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imgclf.classifiers.answers import FeatureWatch
from imgclf.errors import EngineError

if TYPE_CHECKING:
    from imgclf.classifiers.record import ClassifierRecord
    from imgclf.classifiers.stored_tensors import Tensors
    from imgclf.data.pixels.input_policy import InputPolicy

__all__ = ["PROBE_TOLERANCE", "find_probe_fault", "make_probe", "noise_images"]

OutputsOf = Callable[[NDArray[np.uint8], FeatureWatch | None], NDArray[np.float64]]
"""What `Classifier.uncalibrated` is: pixels, and who sees the features, to probabilities."""

PROBE_TOLERANCE = 1e-4
"""Largest difference between the stored probabilities and those on this machine."""

NUM_NOISE_IMAGES = 6
"""On two, whole units of a small network are silent, and their weights can be anything."""

NUM_PROBE_IMAGES = NUM_NOISE_IMAGES + 2
"""Most images that are stored, and that are run where a file holds others."""

PROBE_BYTES = 4 * 1024**2
"""Size that the stored images keep to, as long as two are of noise."""

NUM_OWN_IMAGES = 2
"""Images of our own that a network has to give finite numbers on."""


def make_probe(
    policy: InputPolicy, outputs_of: OutputsOf
) -> dict[str, NDArray[np.uint8] | NDArray[np.float32]]:
    """Return the content of the file's member: the images, and the network's output for them.

    Args:
        policy: How the classifier reads images.
        outputs_of: `Classifier.uncalibrated`.

    Returns:
        ``image``, uint8 ``(num_images, height, width, channels)``, and ``output``, float32
        ``(num_images, num_classes)``, not calibrated. Eight images; of large ones, four.
    """
    image = noise_images(policy.pixel_shape)
    return {"image": image, "output": outputs_of(image, None).astype(np.float32)}


def find_probe_fault(record: ClassifierRecord, outputs_of: OutputsOf, probe: Tensors) -> str:
    """Run the stored images, and our own where these are others: the last check of a file.

    The stored images may be chosen so that a network looks sound: with black ones no kernel counts.
    On noise every layer has to give numbers. One image is run at a time, as a large network has
    room for no more, and the first fault ends it.

    Args:
        record: What was built from the file.
        outputs_of: `Classifier.uncalibrated` of the classifier that was built.
        probe: The file's member.

    Returns:
        What is wrong, as a clause about the classifier; empty where nothing is.
    """
    image, expected = probe.get("image"), probe.get("output")
    if image is None or expected is None or not _is_probe(record, image, expected):
        return "has no usable probe"
    own = noise_images(record.policy.pixel_shape)
    try:
        for answer, wanted in zip(_answers(outputs_of, image), expected, strict=True):
            difference = float(np.abs(answer - wanted).max())
            if not difference <= PROBE_TOLERANCE:
                return (
                    f"gives other results here than where it was saved (by {difference:.2g}, "
                    f"accepted is {PROBE_TOLERANCE:g})"
                )
        if not np.array_equal(image, own):
            list(_answers(outputs_of, own[:NUM_OWN_IMAGES]))
    except FloatingPointError:
        return "gives values that are not finite"
    except (EngineError, MemoryError) as error:
        return f"cannot be run here ({type(error).__name__})"
    return ""


def _is_probe(
    record: ClassifierRecord, image: NDArray[np.uint8], expected: NDArray[np.float32]
) -> bool:
    return (
        image.dtype == np.uint8
        and expected.dtype == np.float32
        and image.shape[1:] == record.policy.pixel_shape
        and 0 < len(image) <= NUM_PROBE_IMAGES
        and expected.shape == (len(image), len(record.class_names))
    )


def _answers(outputs_of: OutputsOf, images: NDArray[np.uint8]) -> Iterator[NDArray[np.float64]]:
    """Yield the network's output for one image after the other, ``(num_classes,)``.

    Raises:
        FloatingPointError: A probability, or a feature on the way to it, is not finite.
    """
    for image in images:
        features: list[NDArray[np.float32]] = []
        answer = outputs_of(image[np.newaxis], features.extend)[0]
        if not all(np.isfinite(values).all() for values in (answer, *features)):
            raise FloatingPointError
        yield answer


def noise_images(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Make images that reach all levels of brightness: two to six of noise, two of a ramp.

    Args:
        shape: ``(height, width, channels)``.

    Returns:
        uint8 ``(num_images, height, width, channels)``.
    """
    rng = np.random.default_rng(0)
    num_noise = min(max(PROBE_BYTES // math.prod(shape) - 2, 2), NUM_NOISE_IMAGES)
    noise = rng.integers(0, 256, (num_noise, *shape), np.uint8)
    ramp = np.broadcast_to(np.linspace(0, 255, shape[1])[None, :, None], shape).astype(np.uint8)
    return np.concatenate([noise, ramp[None], 255 - ramp[None]])
