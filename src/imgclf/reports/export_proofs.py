"""What is known of the exports beside a run's classifier: the proofs in ``export.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

if TYPE_CHECKING:
    from imgclf.runs.record import RunRecord

__all__ = ["ExportProof", "export_proofs"]

RECORD_NAME = "export.json"
"""Written by `imgclf.export`, which is another floor."""


class ExportProof(Struct, frozen=True, kw_only=True):
    """How an export answered beside the classifier; see `imgclf.exports.proof.Proof`."""

    format: str
    quantize: str
    num_images: int
    source: str
    agreement: float
    largest_difference: float
    accuracy_after: float | None = None
    size_bytes: int
    alone_per_s: float
    batched_per_s: float
    classifier_sha256: str | None = None


_DECODER = Decoder(dict[str, ExportProof])


def export_proofs(run: RunRecord) -> dict[str, ExportProof]:
    """Read the proofs of the exports that lie beside a run's classifier.

    Args:
        run: The run.

    Returns:
        The proofs by file name: of files that are still there, and were made from the classifier
        that the run's figures are of. Empty without ``export.json``, or where another program
        wrote one.
    """
    try:
        content = (run.folder / RECORD_NAME).read_bytes()
        known = _DECODER.decode(content)
    except (OSError, DecodeError, RecursionError):  # Written by another program.
        return {}
    wanted = (None, run.record.get("classifier_sha256"))
    return {
        name: proof
        for name, proof in known.items()
        if proof.classifier_sha256 in wanted and (run.folder / name).exists()
    }
