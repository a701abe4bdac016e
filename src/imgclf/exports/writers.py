"""How each format is written: one function a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgclf.classifiers.answers import all_classes
from imgclf.classifiers.calibration import apply_temperature
from imgclf.errors import ExportError
from imgclf.exports.metadata import metadata_of
from imgclf.exports.proof_images import calibration_images
from imgclf.zoo.builder import origin_of

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from imgclf.classifiers.classifier import Classifier
    from imgclf.classifiers.record import ClassifierRecord
    from imgclf.exports.formats import FormatName, Quantization
    from imgclf.exports.proof import Proof

__all__ = ["WRITERS", "Job", "Written"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be written.

    Attributes:
        classifier: The classifier.
        target: The file or folder.
        quantize: Whether and how it is quantized.
        images: A folder of images for ``"int8"``, where the run's training images are gone.
        source_sha256: Hash of the classifier's file.
    """

    classifier: Classifier
    target: Path
    quantize: Quantization
    images: str | os.PathLike[str] | None
    source_sha256: str

    @property
    def record(self) -> ClassifierRecord:
        """What makes the classifier."""
        return self.classifier.record

    @property
    def metadata(self) -> dict[str, Any]:
        """What the export says of itself."""
        return metadata_of(self.record, self.source_sha256, self.licences)

    @property
    def licences(self) -> tuple[str, ...]:
        """A line for each file that the first weights came from, with its licence."""
        origin = origin_of(self.record.model)
        files = origin.weights_files.values() if origin is not None else ()
        return tuple(
            f"{file.licence} (weights of {file.package})" for file in files if file.licence
        )


def _as_they_are(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    return outputs


@dataclass(frozen=True, slots=True)
class Written:
    """What a format's function wrote, and what is still to do.

    Attributes:
        network: The file or folder that is run to prove it.
        remarks: What the record of exports says of it besides.
        finish: What the format's reader does with the network's outputs.
        complete: Writes what needs the proof; None where all is written.
    """

    network: Path
    remarks: Mapping[str, Any] = field(default_factory=dict)
    finish: Callable[[NDArray[np.float64]], NDArray[np.float64]] = _as_they_are
    complete: Callable[[Proof], None] | None = None


def _litert(job: Job) -> Written:
    from imgclf.exports.litert_file import write_litert

    pixels, remarks = np.zeros((0, *job.record.policy.pixel_shape), np.uint8), {}
    if job.quantize == "int8":
        known = calibration_images(job.classifier, job.images)
        if not len(known.pixels):
            raise ExportError(
                "int8 is calibrated on photos, and the run's training images are not there: "
                "give some with --images (images=)."
            )
        pixels, remarks = known.pixels, {"calibrated_on": list(known.names)}
    write_litert(job.record, job.target, job.quantize, pixels, job.metadata)
    return Written(job.target, remarks)


def _onnx(job: Job) -> Written:
    from imgclf.exports.onnx_file import write_onnx

    write_onnx(job.record, job.target, job.quantize, job.metadata)
    return Written(job.target)


def _openvino(job: Job) -> Written:
    from imgclf.exports.openvino_file import write_openvino

    write_openvino(job.record, job.target, job.quantize, job.metadata)
    return Written(job.target)


def _saved_model(job: Job) -> Written:
    from imgclf.exports.keras_file import write_saved_model

    write_saved_model(job.record, job.target, job.metadata)
    return Written(job.target)


def _keras(job: Job) -> Written:
    from imgclf.exports.keras_file import write_keras

    write_keras(job.record, job.target, job.metadata)
    return Written(job.target)


def _web(job: Job) -> Written:
    """Write the network alone: the page around it says how it answers."""
    from imgclf.exports.web_file import write_web, write_web_network

    calibration = job.classifier.calibration
    temperature = 1.0 if calibration is None else calibration.temperature
    network = job.target.with_suffix(".tflite")

    def finish(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        return apply_temperature(all_classes(outputs.astype(np.float32)), temperature)

    def complete(proof: Proof) -> None:
        write_web(job.record, job.target, network, proof, job.licences)
        network.unlink()

    write_web_network(job.record, network, job.quantize)
    return Written(network, finish=finish, complete=complete)


def _imgclf(job: Job) -> Written:
    job.classifier.save(job.target)
    return Written(job.target)


WRITERS: dict[FormatName, Callable[[Job], Written]] = {
    "litert": _litert,
    "onnx": _onnx,
    "openvino": _openvino,
    "savedmodel": _saved_model,
    "keras": _keras,
    "web": _web,
    "imgclf": _imgclf,
}
"""The function of each format; `imgclf.exports.formats` says what is known of it beforehand."""
