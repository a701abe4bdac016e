"""What the candidates of a training reached in their trials, kept for a resumed run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from imgclf.atomic import write_text_atomically
from imgclf.errors import RunFolderError

__all__ = ["CandidateName", "CandidateResult", "read_results", "write_results"]

CandidateName = Literal["fine_tuned", "from_scratch"]

RESULTS_NAME = "results.json"


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """What a candidate reached in its trial.

    Attributes:
        name: The candidate.
        image_size: ``(height, width)`` in pixels.
        duration_s: Seconds of the trial.
        accuracy: On the validation images, 0 to 1.
    """

    name: CandidateName
    image_size: tuple[int, int]
    duration_s: float
    accuracy: float


def write_results(workspace: Path, results: Sequence[CandidateResult]) -> None:
    """Write the results into the candidates' folder."""
    text = json.dumps([asdict(result) for result in results], indent=1)
    write_text_atomically(workspace / RESULTS_NAME, text + "\n")


def read_results(workspace: Path) -> list[CandidateResult]:
    """Read the results of an earlier part of the run.

    Args:
        workspace: The candidates' folder.

    Returns:
        The results; empty where the trials were not finished.

    Raises:
        RunFolderError: The file cannot be read.
    """
    path = workspace / RESULTS_NAME
    try:
        return [_result(row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunFolderError(
            f"{path} cannot be read ({error}): move it elsewhere, and the trials are made anew."
        ) from error


def _result(row: dict[str, Any]) -> CandidateResult:
    if row["name"] not in get_args(CandidateName):
        raise ValueError(f"unknown candidate {row['name']!r}")
    height, width = (int(side) for side in row["image_size"])
    return CandidateResult(
        cast("CandidateName", row["name"]),
        (height, width),
        float(row["duration_s"]),
        float(row["accuracy"]),
    )
