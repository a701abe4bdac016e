"""A classifier from its bundle, after all of it was verified."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from imgclf.bundle import Bundle, Manifest, read_bundle
from imgclf.classifier import Classifier
from imgclf.errors import BundleError, ImgclfError, PluginError, UnknownArchitectureError
from imgclf.evaluation.familiarity import Familiarity
from imgclf.models import rebuild_model
from imgclf.traces import TrainingTraces

__all__ = ["load"]

PROBE_TOLERANCE = 1e-4
"""Largest difference between the probe's stored output and the one on this machine."""


def load(
    path: str | os.PathLike[str], *, architecture: Callable[..., keras.Model] | None = None
) -> Classifier:
    """Load a classifier from a bundle, after verifying all of it.

    Args:
        path: A ``.imgclf`` file.
        architecture: The architecture function, for a bundle whose architecture is not installed
            as a plugin.

    Returns:
        The classifier; its predictions are those of the one that was saved.

    Raises:
        DataNotFoundError: The file does not exist.
        BundleError: It is not a bundle, damaged, of a newer format, or needs a package that is
            not installed; the message names the package.

    Example:
        >>> clf = imgclf.load("pets.imgclf")          # doctest: +SKIP
        >>> clf.predict("new.jpg")                    # doctest: +SKIP
    """
    bundle = read_bundle(path)
    manifest = bundle.manifest
    try:
        policy = manifest.input.to_policy()
        model = rebuild_model(
            architecture or manifest.architecture.name,
            policy,
            len(manifest.class_names),
            manifest.architecture.options,
            bundle.weights,
        )
    except (UnknownArchitectureError, PluginError) as error:
        raise BundleError(_missing_plugin(path, manifest, error)) from error
    except ImgclfError as error:
        raise BundleError(f"The bundle {path} cannot be built: {error}") from error
    classifier = Classifier.of_parts(
        model, manifest.class_names, policy, manifest.figures, manifest.data
    )
    classifier.calibration = manifest.calibration
    classifier.mirrored = manifest.mirrored
    if bundle.training is not None:
        classifier.traces = TrainingTraces.from_tensors(
            bundle.training, len(manifest.class_names), policy.channels
        )
    if bundle.familiarity is not None:
        classifier.familiarity = _read_familiarity(classifier, bundle.familiarity, path)
    _verify_probe(classifier, bundle, path)
    return classifier


def _read_familiarity(
    classifier: Classifier, tensors: Mapping[str, NDArray[Any]], path: str | os.PathLike[str]
) -> Familiarity:
    sizes, num_classes = classifier.feature_sizes, len(classifier.class_names)
    try:
        return Familiarity.from_tensors(tensors, sizes, num_classes)
    except ValueError as error:
        raise BundleError(
            f"The bundle {path} is damaged (its familiarity has {error}): copy or train it again."
        ) from error


def _missing_plugin(path: str | os.PathLike[str], manifest: Manifest, error: ImgclfError) -> str:
    record = manifest.architecture
    if record.distribution is None:
        return (
            f"The bundle {path} needs the architecture function {record.name!r}, which was never "
            "installed: give it as load(path, architecture=function)."
        )
    return (
        f"The bundle {path} needs the architecture {record.name!r} of the package "
        f"{record.distribution} {record.version}: pip install {record.distribution}. ({error})"
    )


def _verify_probe(classifier: Classifier, bundle: Bundle, path: str | os.PathLike[str]) -> None:
    """Run the stored input and compare: the last check that this is the same classifier."""
    image, expected = bundle.probe.get("image"), bundle.probe.get("output")
    shape = classifier.policy.pixel_shape
    if image is None or expected is None or image.dtype != np.uint8 or image.shape[1:] != shape:
        raise BundleError(f"The bundle {path} is damaged (its probe): copy or train it again.")
    found = classifier.uncalibrated(image)
    difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf
    if not difference <= PROBE_TOLERANCE:
        raise BundleError(
            f"The bundle {path} gives other results here than where it was saved (by "
            f"{difference:.2g}, accepted is {PROBE_TOLERANCE:g}): its architecture "
            f"{bundle.manifest.architecture.name!r} has changed since."
        )
