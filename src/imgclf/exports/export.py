"""Exporting a classifier: written, proven, and only then put into its place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from imgclf.atomic import write_text_atomically
from imgclf.classifiers.answers import all_classes
from imgclf.classifiers.calibration import apply_temperature
from imgclf.errors import ExportError, WriteError
from imgclf.exports.formats import (
    FormatName,
    Quantization,
    require_format,
    tolerance_of,
)
from imgclf.exports.metadata import metadata_of
from imgclf.exports.proof import Proof, ProofImages, prove
from imgclf.exports.proof_images import calibration_images, proof_images
from imgclf.zoo.builder import origin_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.classifiers.classifier import Classifier
    from imgclf.classifiers.record import ClassifierRecord

__all__ = ["RECORD_NAME", "export"]

RECORD_NAME = "export.json"


def export(
    classifier: Classifier,
    path: str | os.PathLike[str],
    *,
    format: str = "litert",  # noqa: A002 - what users call it
    quantize: str = "none",
    images: str | os.PathLike[str] | ProofImages | None = None,
    min_agreement: float | None = None,
    calibrate_on: str | os.PathLike[str] | None = None,
) -> Proof:
    """Write a classifier in another program's format, and prove that it answers the same.

    The export is run in its own runtime, in a fresh process without imgclf, on real images. Where
    it gives other answers than the tolerance allows, nothing is left behind.

    Args:
        classifier: The classifier.
        path: The file, or the folder of a SavedModel; an earlier export is replaced.
        format: ``"litert"``, ``"onnx"``, ``"openvino"``, ``"savedmodel"``, ``"keras"``, ``"web"``
            (a page for a browser) or ``"imgclf"``.
        quantize: ``"none"`` (float32), ``"float16"``, ``"dynamic"`` (weights in 8 bits) or
            ``"int8"`` (activations, too; calibrated on training images).
        images: A folder of images to prove it on; None takes the held-out images of the run that
            the classifier's file lies in.
        min_agreement: Share of the images whose label has to stay the same; None is 1 in float32,
            0.99 in float16 and 0.97 below.
        calibrate_on: A folder for ``"int8"``, where the run's training images are gone; None takes
            `images`.

    Returns:
        The proof; it is added to ``export.json`` beside the file.

    Raises:
        ArgumentError: Format and quantization do not go together.
        EngineError: A package is missing, or the format does not know a layer.
        ExportError: The export answers differently, or does not run.
        WriteError: The file cannot be written there.

    Example:
        >>> proof = imgclf.export(clf, "pets.tflite", quantize="float16")   # doctest: +SKIP
        >>> proof.agreement, proof.size_bytes                                  # doctest: +SKIP
    """
    spec = require_format(format, quantize)
    target = Path(path)
    if spec.suffix and target.suffix != spec.suffix:
        target = target.with_name(target.name + spec.suffix)
    if not target.parent.is_dir():
        raise WriteError(f"The folder {target.parent} does not exist: make it first.")
    _require_room(target, is_folder=not spec.suffix)
    _read_record(target)
    name, way = cast("FormatName", format), cast("Quantization", quantize)
    known = images if isinstance(images, ProofImages) else proof_images(classifier, images)
    folder = calibrate_on
    if folder is None and not isinstance(images, ProofImages):
        folder = images
    remarks: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as temporary:
            made = Path(temporary) / target.name
            if name == "web":
                proof = _write_web(classifier, made, way, known, min_agreement)
            else:
                remarks = _write(classifier, made, name, way, folder)
                proof = _prove(made, name, way, known)
                _require_agreement(proof, min_agreement)
            _move(Path(temporary), target)
        made_from = {"classifier_sha256": _source_sha256(classifier.record)}
        _record(target, proof, {**remarks, **made_from})
    except OSError as error:
        raise WriteError(f"{target} cannot be written ({error.strerror}).") from error
    return proof


def _require_room(target: Path, *, is_folder: bool) -> None:
    """Refuse to replace anything but an earlier export of the same kind."""
    if target.is_dir() and not (is_folder and _is_saved_model(target)):
        raise WriteError(f"{target} is a folder that holds something else: give another place.")
    if is_folder and target.is_file():
        raise WriteError(f"{target} is a file: give the place of a new folder.")


def _is_saved_model(folder: Path) -> bool:
    return (folder / "saved_model.pb").is_file() or not any(folder.iterdir())


def _write(
    classifier: Classifier,
    made: Path,
    name: FormatName,
    quantize: Quantization,
    images: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    """Write the files; returns what the record says of them."""
    record = classifier.record
    metadata = metadata_of(record, _source_sha256(record), _licences(record))
    if name == "imgclf":
        classifier.save(made)
    elif name == "litert":
        from imgclf.exports.litert_file import write_litert

        calibration = np.zeros((0, *record.policy.pixel_shape), np.uint8)
        if quantize == "int8":
            known = calibration_images(classifier, images)
            if not len(known.pixels):
                raise ExportError(
                    "int8 is calibrated on photos, and the run's training images are not there: "
                    "give some with --images (images=)."
                )
            write_litert(record, made, quantize, known.pixels, metadata)
            return {"calibrated_on": list(known.names)}
        write_litert(record, made, quantize, calibration, metadata)
    elif name == "onnx":
        from imgclf.exports.onnx_file import write_onnx

        write_onnx(record, made, quantize, metadata)
    elif name == "openvino":
        from imgclf.exports.openvino_file import write_openvino

        write_openvino(record, made, quantize, metadata)
    elif name == "keras":
        from imgclf.exports.keras_file import write_keras

        write_keras(record, made, metadata)
    else:
        from imgclf.exports.keras_file import write_saved_model

        write_saved_model(record, made, metadata)
    return {}


def _write_web(
    classifier: Classifier,
    made: Path,
    quantize: Quantization,
    images: ProofImages,
    min_agreement: float | None,
) -> Proof:
    """Prove the network of the page, then write the page with what was found in it."""
    from imgclf.exports.web_file import write_web, write_web_network

    record, calibration = classifier.record, classifier.calibration
    temperature = 1.0 if calibration is None else calibration.temperature

    def finish(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        return apply_temperature(all_classes(outputs.astype(np.float32)), temperature)

    network = made.with_suffix(".tflite")
    write_web_network(record, network, quantize)
    proof = prove("web", quantize, network, network.stat().st_size, images, finish)
    _require_agreement(proof, min_agreement)
    write_web(record, made, network, proof, _licences(record))
    network.unlink()
    return replace(proof, size_bytes=made.stat().st_size)


def _prove(made: Path, name: FormatName, quantize: Quantization, images: ProofImages) -> Proof:
    size = sum(one.stat().st_size for one in _files_of(made))
    return prove(name, quantize, made, size, images)


def _files_of(made: Path) -> list[Path]:
    if made.is_dir():
        return [one for one in made.rglob("*") if one.is_file()]
    return [one for one in (made, made.with_suffix(".bin")) if one.is_file()]


def _require_agreement(proof: Proof, min_agreement: float | None) -> None:
    least, largest = tolerance_of(proof.quantize)
    least = least if min_agreement is None else min_agreement
    if proof.agreement < least:
        raise ExportError(
            f"The export answers {1 - proof.agreement:.1%} of {proof.num_images} images with "
            f"another class, more than the {1 - least:.1%} that are accepted: give another "
            "quantization, or a lower --min-agreement (min_agreement=)."
        )
    if largest is not None and proof.largest_difference > largest:
        raise ExportError(
            f"The export's probabilities differ by up to {proof.largest_difference:.1e}, more than "
            f"{largest:g}: it is not the same network."
        )


def _move(made: Path, target: Path) -> None:
    """Put all that was written beside the target, the target itself last."""
    for one in sorted(made.iterdir(), key=lambda path: path.name == target.name):
        place = target.with_name(one.name)
        if place.is_dir():
            shutil.rmtree(place)
        one.replace(place)


def _record(target: Path, proof: Proof, remarks: dict[str, Any]) -> None:
    known = {**_read_record(target), target.name: {**proof.as_dict(), **remarks}}
    text = json.dumps(known, indent=1, ensure_ascii=False)
    write_text_atomically(target.with_name(RECORD_NAME), text + "\n")


def _read_record(target: Path) -> dict[str, Any]:
    """Read the record of earlier exports; a file of somebody else's is not touched."""
    place = target.with_name(RECORD_NAME)
    if not place.exists():
        return {}
    try:
        known = json.loads(place.read_text(encoding="utf-8"))
        if all("agreement" in one for one in known.values()):
            return cast("dict[str, Any]", known)
    except (OSError, ValueError, AttributeError, TypeError):
        pass
    raise WriteError(f"{place} is no record of exports: move it, or export into another folder.")


def _source_sha256(record: ClassifierRecord) -> str:
    if record.file is not None and record.file.is_file():
        return hashlib.sha256(record.file.read_bytes()).hexdigest()
    from imgclf.engines.fingerprint import network_fingerprint

    return network_fingerprint(record.model)


def _licences(record: ClassifierRecord) -> tuple[str, ...]:
    """Return a line for each file that the first weights came from, with its licence."""
    origin = origin_of(record.model)
    files = origin.weights_files.values() if origin is not None else ()
    return tuple(f"{file.licence} (weights of {file.package})" for file in files if file.licence)
