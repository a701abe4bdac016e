"""A classifier from its bundle, after all of it was verified."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import keras

from imgclf.classifiers.bundle import Bundle, Manifest, read_bundle
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.contents import Content, on_disk
from imgclf.classifiers.familiarity import Familiarity
from imgclf.classifiers.features import feature_tensors
from imgclf.classifiers.fingerprints import TrainingFingerprints
from imgclf.classifiers.probe_images import find_probe_fault
from imgclf.classifiers.record import ClassifierRecord
from imgclf.data.pixels.decoder import DECODER_VERSION
from imgclf.errors import BundleError, ImgclfError, PluginError, UnknownArchitectureError
from imgclf.zoo.builder import rebuild_model
from imgclf.zoo.registry import installed_version, load_architecture

__all__ = ["build_classifier", "load"]

_logger = logging.getLogger(__name__)


def load(
    source: str | os.PathLike[str] | Content,
    *,
    architecture: Callable[..., keras.Model] | None = None,
) -> Classifier:
    """Load a classifier from its file, after verifying all of it.

    Args:
        source: A ``.imgclf`` file: its path, its content as bytes (what `Classifier.to_bytes`
            returns), or a file that is open for reading in binary mode.
        architecture: The architecture function, for a classifier whose architecture is not
            installed as a plugin. Where its source file is not the one that the classifier was made
            with, a log warning says so; the probe decides whether it builds the same network.

    Returns:
        The classifier; its predictions are those of the one that was saved.

    Raises:
        DataNotFoundError: The file does not exist.
        BundleError: It is not a classifier's file, damaged, of a newer format, was made with
            another decoder, or needs a package that is not installed; the message says what to do.

    Example:
        >>> clf = imgclf.load("pets.imgclf")          # doctest: +SKIP
        >>> clf.predict("new.jpg")                    # doctest: +SKIP
    """
    if isinstance(source, (str, os.PathLike)):
        return build_classifier(read_bundle(source), source, architecture=architecture)
    with on_disk(source) as path:
        return build_classifier(read_bundle(path), path, architecture=architecture, kept=False)


def build_classifier(
    bundle: Bundle,
    path: str | os.PathLike[str],
    *,
    architecture: Callable[..., keras.Model] | None = None,
    kept: bool = True,
) -> Classifier:
    """Build the classifier of a file that was read already; `load` does both.

    Args:
        bundle: What `read_bundle` returned.
        path: The file, for messages and for what lies beside it.
        architecture: As for `load`.
        kept: Whether the file stays where it is, for the classifier to know.

    Returns:
        The classifier.

    Raises:
        BundleError: As for `load`.
    """
    manifest = bundle.manifest
    _require_same_decoder(manifest, path)
    changed = _source_change(manifest, architecture)
    try:
        policy = manifest.input.to_policy()
        model = rebuild_model(
            architecture or manifest.architecture.name,
            policy,
            len(manifest.class_names),
            manifest.architecture.options,
            bundle.weights,
            {name: file.to_file() for name, file in manifest.architecture.weights_files.items()},
        )
    except (UnknownArchitectureError, PluginError) as error:
        raise BundleError(_missing_plugin(path, manifest, error)) from error
    except MemoryError as error:
        raise BundleError(f"The classifier {path} needs more memory than is free.") from error
    except ImgclfError as error:
        raise BundleError(f"The classifier {path} cannot be built: {error}{changed}") from error
    record = ClassifierRecord(
        model=model,
        class_names=manifest.class_names,
        policy=policy,
        figures=manifest.figures,
        data=manifest.data,
        calibration=manifest.calibration,
        familiarity=_read_familiarity(model, bundle, path),
        fingerprints=_read_fingerprints(bundle, policy.channels),
        file=Path(path) if kept else None,
        mirrored=manifest.mirrored,
    )
    classifier = Classifier.of(record)
    _verify_probe(classifier, bundle, path, changed)
    if changed:
        _logger.warning(
            "The classifier %s gives the outputs that it was saved with.%s", path, changed
        )
    return classifier


def _source_change(manifest: Manifest, architecture: Callable[..., keras.Model] | None) -> str:
    """Say that a function's file is another one than when the bundle was made; empty if not."""
    recorded = manifest.architecture.source_sha256
    if architecture is None or recorded is None:
        return ""
    loaded = load_architecture(architecture)
    if loaded.source_sha256 == recorded:
        return ""
    found = (loaded.source_sha256 or "none")[:12]
    return (
        f" The source file of {loaded.name!r} has changed since: its sha256 is {found}..., the "
        f"bundle was made with {recorded[:12]}...."
    )


def _read_familiarity(
    model: keras.Model, bundle: Bundle, path: str | os.PathLike[str]
) -> Familiarity | None:
    if bundle.familiarity is None:
        return None
    sizes = [tensor.shape[-1] for tensor in feature_tensors(model)]
    try:
        return Familiarity.from_tensors(bundle.familiarity, sizes, len(bundle.manifest.class_names))
    except ValueError as error:
        raise BundleError(
            f"The classifier {path} is damaged (its familiarity has {error}): copy or train it "
            "again."
        ) from error


def _read_fingerprints(bundle: Bundle, channels: int) -> TrainingFingerprints | None:
    if bundle.training is None:
        return None
    num_classes = len(bundle.manifest.class_names)
    return TrainingFingerprints.from_tensors(bundle.training, num_classes, channels)


def _missing_plugin(path: str | os.PathLike[str], manifest: Manifest, error: ImgclfError) -> str:
    record = manifest.architecture
    if record.distribution is None:
        return (
            f"The classifier {path} needs the architecture function {record.name!r}, which was "
            "never installed: give it as load(path, architecture=function), or on the command "
            f"line as --arch path/to/file.py:{record.name}."
        )
    if record.distribution == "imgclf" and isinstance(error, PluginError):
        return f"The classifier {path} cannot be built. {error}"  # An extra is missing.
    needed = (
        f"The classifier {path} needs the architecture {record.name!r} of the package "
        f"{record.distribution} {record.version}"
    )
    installed = installed_version(record.distribution)
    if installed is None:
        return f"{needed}: pip install {record.distribution}. ({error})"
    return f"{needed}; version {installed} is installed but cannot be used. {error}"


def _require_same_decoder(manifest: Manifest, path: str | os.PathLike[str]) -> None:
    """Refuse a classifier that learned from other pixels than this imgclf reads."""
    found = manifest.input.decoder_version
    if found == DECODER_VERSION:
        return
    remedy = (
        "upgrade with pip install -U imgclf"
        if found > DECODER_VERSION
        else f"train it again, or use it with imgclf {manifest.versions.imgclf}, which made it"
    )
    raise BundleError(
        f"The classifier {path} was made with version {found} of the decoder; this imgclf has "
        f"version {DECODER_VERSION} and reads other pixels from the same images: {remedy}."
    )


def _verify_probe(
    classifier: Classifier, bundle: Bundle, path: str | os.PathLike[str], changed: str
) -> None:
    """Run images and compare: the last check that this is the same classifier."""
    fault = find_probe_fault(classifier.record, classifier.uncalibrated, bundle.probe)
    if fault:
        raise BundleError(
            f"The classifier {path} {fault}: it is damaged, or its architecture "
            f"{bundle.manifest.architecture.name!r} has changed since.{changed}"
        )
