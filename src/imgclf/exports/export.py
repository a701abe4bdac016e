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

from imgclf.atomic import write_text_atomically
from imgclf.errors import ExportError, WriteError
from imgclf.exports.formats import (
    FormatName,
    Quantization,
    require_format,
    tolerance_of,
)
from imgclf.exports.proof import Proof, ProofImages, prove
from imgclf.exports.proof_images import proof_images
from imgclf.exports.writers import WRITERS, Job
from imgclf.figures.shares import shown_share

if TYPE_CHECKING:
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
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as temporary:
            made = Path(temporary) / target.name
            job = Job(classifier, made, way, folder, _source_sha256(classifier.record))
            written = WRITERS[name](job)
            size = sum(one.stat().st_size for one in _files_of(written.network))
            proof = prove(name, way, written.network, size, known, written.finish)
            _require_agreement(proof, min_agreement)
            if written.complete is not None:
                written.complete(proof)
                proof = replace(proof, size_bytes=made.stat().st_size)
            _move(Path(temporary), target)
        _record(target, proof, {**written.remarks, "classifier_sha256": job.source_sha256})
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


def _files_of(made: Path) -> list[Path]:
    if made.is_dir():
        return [one for one in made.rglob("*") if one.is_file()]
    return [one for one in (made, made.with_suffix(".bin")) if one.is_file()]


def _require_agreement(proof: Proof, min_agreement: float | None) -> None:
    least, largest = tolerance_of(proof.quantize)
    least = least if min_agreement is None else min_agreement
    if proof.agreement < least:
        raise ExportError(
            f"The export answers {shown_share(1 - proof.agreement)} of {proof.num_images} images "
            f"with another class, more than the {shown_share(1 - least)} that are accepted: give "
            "another quantization, or a lower --min-agreement (min_agreement=)."
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
