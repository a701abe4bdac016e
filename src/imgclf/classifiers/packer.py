"""A classifier as a bundle: what is written."""

from __future__ import annotations

import datetime
import logging
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf.classifiers.answer_network import convert_answers
from imgclf.classifiers.answers import Engine, NetworkEngine
from imgclf.classifiers.bundle import write_bundle
from imgclf.classifiers.inference import make_engine
from imgclf.classifiers.probe_images import OutputsOf, make_probe
from imgclf.data.pixels.decoder import DECODER_VERSION
from imgclf.engines.fingerprint import network_fingerprint
from imgclf.engines.litert import LiteRtNetwork
from imgclf.errors import BundleError, EngineError
from imgclf.zoo.builder import named_weights, origin_of

if TYPE_CHECKING:
    from imgclf.classifiers.record import ClassifierRecord
    from imgclf.data.pixels.input_policy import InputPolicy

__all__ = ["pack"]

_logger = logging.getLogger(__name__)


def pack(record: ClassifierRecord, path: str | os.PathLike[str]) -> Path:
    """Write a classifier as one bundle; see `Classifier.save`.

    Args:
        record: The classifier.
        path: The file; its folder must exist.

    Returns:
        The path.

    Raises:
        BundleError: The file cannot be written, or nobody could build the network again.
    """
    origin = origin_of(record.model)
    if origin is None:
        raise BundleError(
            "Only networks that build_model made can be saved, because a classifier's file "
            "holds no code: make it an architecture function and pass that to build_model."
        )
    target = Path(path)
    if not target.parent.is_dir():
        raise BundleError(f"The folder {target.parent} does not exist: make it first.")
    registration = origin.architecture.registration
    manifest = {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "architecture": {
            "name": origin.architecture.name,
            "distribution": registration and registration.distribution,
            "version": registration and registration.version,
            "source_sha256": origin.architecture.source_sha256,
            "options": dict(origin.options),
            "weights_files": {name: asdict(file) for name, file in origin.weights_files.items()},
        },
        "class_names": list(record.class_names),
        "input": _policy_record(record.policy),
        "versions": _versions(),
        "figures": record.figures,
        "data": record.data,
        "calibration": record.calibration,
        "mirrored": record.mirrored,
    }
    weights = {name: np.asarray(variable) for name, variable in named_weights(record.model).items()}
    fingerprints, familiarity = record.fingerprints, record.familiarity
    network = _converted(record)
    write_bundle(
        target,
        manifest,
        weights,
        make_probe(record.policy, _outputs_of(record, network)),
        network=network,
        training=None if fingerprints is None else fingerprints.to_tensors(),
        familiarity=None if familiarity is None else familiarity.to_tensors(),
    )
    return target


def _converted(record: ClassifierRecord) -> bytes | None:
    """Return the network for LiteRT, of the weights that are saved; None where it has none."""
    known = record.converted
    if known is not None and known.fingerprint == network_fingerprint(record.model):
        return known.content
    try:
        return convert_answers(record.model, record.policy, mirrored=record.mirrored)
    except EngineError as error:
        _logger.warning("%s The classifier's file is without it: TensorFlow will answer.", error)
        return None


def _outputs_of(record: ClassifierRecord, network: bytes | None) -> OutputsOf:
    """Return what answers when the file is loaded."""
    engine: Engine
    if network is None:
        engine = make_engine(record.model, record.policy, mirrored=record.mirrored)
    else:
        engine = NetworkEngine(LiteRtNetwork(network))
    return lambda pixels, watch: engine([pixels], watch)


def _policy_record(policy: InputPolicy) -> dict[str, Any]:
    return {
        "height": policy.image_size[0],
        "width": policy.image_size[1],
        "channels": policy.channels,
        "resize": policy.resize,
        "data_format": policy.data_format,
        "background": list(policy.background),
        "decoder_version": DECODER_VERSION,
    }


def _versions() -> dict[str, str]:
    return {
        "imgclf": version("imgclf"),
        "keras": version("keras"),
        "tensorflow": version("tensorflow"),
        "python": platform.python_version(),
    }
