"""A page that classifies photos in a browser, with a classifier's network inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgclf.atomic import write_atomically, write_text_atomically
from imgclf.classifiers.answer_network import answer_model
from imgclf.engines.litert_conversion import convert_to_litert
from imgclf.exports.litert_file import quantizer
from imgclf.exports.web_page import PageAgreement, PageCard, web_page

if TYPE_CHECKING:
    from pathlib import Path

    from imgclf.classifiers.record import ClassifierRecord
    from imgclf.exports.formats import Quantization
    from imgclf.exports.proof import Proof

__all__ = ["write_web", "write_web_network"]


def write_web_network(record: ClassifierRecord, target: Path, quantize: Quantization) -> None:
    """Write the network of the page, so that it can be proven before the page is made.

    Args:
        record: The classifier.
        target: The ``.tflite`` file.
        quantize: Whether and how weights are quantized.

    Raises:
        EngineError: LiteRT does not know a layer.
    """
    model = answer_model(record.model, record.policy, mirrored=record.mirrored)
    content = convert_to_litert(
        model, data_format=record.policy.data_format, configure=quantizer(quantize)
    )
    write_atomically(target, content)


def write_web(
    record: ClassifierRecord, target: Path, network: Path, proof: Proof, licences: tuple[str, ...]
) -> None:
    """Write the page.

    Args:
        record: The classifier.
        target: The ``.html`` file.
        network: What `write_web_network` wrote.
        proof: How that answers.
        licences: A line for each file that the first weights came from.
    """
    calibration = record.calibration
    number_format = "float32" if proof.quantize == "none" else proof.quantize
    card = PageCard(
        title=" or ".join(record.class_names) if len(record.class_names) < 4 else "Which is it?",
        class_names=record.class_names,
        policy=record.policy,
        temperature=1.0 if calibration is None else calibration.temperature,
        figures=record.figures,
        licences=licences,
        familiarity=record.familiarity,
        number_format="8-bit weights" if number_format == "dynamic" else number_format,
        agreement=PageAgreement(
            proof.num_images,
            round(proof.agreement * proof.num_images),
            proof.largest_difference,
            "LiteRT when this page was made",
        ),
    )
    write_text_atomically(target, web_page(card, network.read_bytes()))
