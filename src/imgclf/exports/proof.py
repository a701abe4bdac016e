"""The proof of an export: in a process of its own, its own runtime answers real images the same."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf.errors import ExportError
from imgclf.figures.intervals import Interval, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from imgclf.exports.formats import FormatName, Quantization

__all__ = ["Proof", "ProofImages", "prove"]

RUNNER = Path(__file__).with_name("runner.py")
MOST_WAIT_S = 1800.0
"""Seconds after which an export is taken for one that hangs."""


@dataclass(frozen=True, slots=True, eq=False)
class ProofImages:
    """What an export is proven on.

    Attributes:
        pixels: uint8 ``(num_images, height, width, channels)``, decoded by the input policy.
        expected: float64 ``(num_images, num_classes)``, the classifier's own answers.
        labels: Integer ``(num_images,)``, the true classes; None where they are not known.
        source: Where the images come from, as a clause.
    """

    pixels: NDArray[np.uint8]
    expected: NDArray[np.float64]
    labels: NDArray[np.int64] | None
    source: str


@dataclass(frozen=True, slots=True)
class Proof:
    """How an export answers, beside the classifier that it was made from; see `imgclf.export`.

    Attributes:
        format: The format.
        quantize: Whether and how it is quantized.
        num_images: Images that both answered.
        source: Where the images come from.
        agreement: Share of the images with the same label.
        largest_difference: Of a probability.
        mean_difference: Of the probabilities, in absolute value.
        accuracy_before: Of the classifier on these images; None where their classes are not known.
        accuracy_after: Of the export, likewise.
        interval_after: Its 95% interval.
        size_bytes: Of the file, or of all files of a folder.
        alone_per_s: Images per second, one at a time.
        batched_per_s: Images per second, 32 at a time.
        memory_bytes: Peak resident memory of the process.

    Example:
        >>> proof = imgclf.export(clf, "pets.tflite")                     # doctest: +SKIP
        >>> proof.agreement, proof.largest_difference                    # doctest: +SKIP
        (1.0, 2.4e-06)
    """

    format: FormatName
    quantize: Quantization
    num_images: int
    source: str
    agreement: float
    largest_difference: float
    mean_difference: float
    accuracy_before: float | None
    accuracy_after: float | None
    interval_after: Interval | None
    size_bytes: int
    alone_per_s: float
    batched_per_s: float
    memory_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for ``export.json``."""
        return asdict(self)


def prove(
    name: FormatName,
    quantize: Quantization,
    path: Path,
    size_bytes: int,
    images: ProofImages,
    finish: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda outputs: outputs,
) -> Proof:
    """Run an export in its own runtime, and compare.

    Args:
        name: The format.
        quantize: Whether and how it is quantized.
        path: The file or folder.
        size_bytes: Its size.
        images: The images.
        finish: What the format's reader does with the network's outputs.

    Returns:
        What was found; whether that is enough is for the caller to decide.

    Raises:
        ExportError: The runtime refuses the file, or gives another number of classes.
    """
    with tempfile.TemporaryDirectory() as folder:
        pixels_file, output_file = Path(folder) / "pixels.npy", Path(folder) / "output.npy"
        np.save(pixels_file, images.pixels)
        done = _run_apart(name, path, pixels_file, output_file)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it ended without a message"]
            raise ExportError(
                f"The export as {name} does not run in its own runtime ({lines[-1][:300]})."
            )
        measured = json.loads(done.stdout.strip().splitlines()[-1])
        found = finish(np.load(output_file).astype(np.float64))
    if found.shape != images.expected.shape:
        raise ExportError(
            f"The export as {name} gives {found.shape[1:]} values an image, not "
            f"{images.expected.shape[1:]}."
        )
    differences = np.abs(found - images.expected)
    answers, before = found.argmax(axis=1), images.expected.argmax(axis=1)
    right = None if images.labels is None else answers == images.labels
    return Proof(
        format=name,
        quantize=quantize,
        num_images=len(found),
        source=images.source,
        agreement=float((answers == before).mean()),
        largest_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
        accuracy_before=(
            None if images.labels is None else float((before == images.labels).mean())
        ),
        accuracy_after=None if right is None else float(right.mean()),
        interval_after=None if right is None else wilson_interval(int(right.sum()), len(right)),
        size_bytes=size_bytes,
        **measured,
    )


def _run_apart(name: FormatName, *paths: Path) -> subprocess.CompletedProcess[str]:
    """Run the export in a process that imports nothing of the current folder."""
    try:
        return subprocess.run(  # noqa: S603 - our own interpreter and our own program
            [sys.executable, "-P", "-I", str(RUNNER), name, *map(str, paths)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=MOST_WAIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(
            f"The export as {name} did not answer the images within {MOST_WAIT_S:.0f} s."
        ) from error
