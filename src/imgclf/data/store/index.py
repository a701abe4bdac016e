"""The index of a store: what a scan learned of each file, one JSON line a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from imgclf.data.pixels.decoder import REASONS, ImageFacts
from imgclf.data.store.scan import facts_of
from imgclf.data.store.scan_results import ScannedFile, ScanResults

__all__ = ["index_line", "read_index", "read_line", "write_index"]

_FACT_TYPES: list[type] = [str, str, int, int, int, bool]

_FACTS = [field.name for field in fields(ImageFacts)]  # astuple copies, several times as slow


def write_index(path: Path, scanned: Sequence[ScannedFile]) -> None:
    """Write one JSON line per file, so that the text is never whole in memory."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(map(index_line, scanned))


def index_line(result: ScannedFile) -> str:
    """Write what a scan learned of one file."""
    facts = result.facts and [getattr(result.facts, name) for name in _FACTS]
    return json.dumps([result.sha256, result.reason, result.message, facts]) + "\n"


def read_index(path: Path, num_files: int) -> ScanResults:
    """Read what `write_index` wrote; `ValueError` where it is of another number of files."""
    results = ScanResults(num_files)
    with path.open(encoding="utf-8") as file:
        for index, line in zip(range(num_files), file, strict=True):
            results.put(index, read_line(line))
    return results


def read_line(line: str) -> ScannedFile:
    """Read what `index_line` wrote; `ValueError` or `TypeError` for what no scan writes."""
    return _read_result(*json.loads(line))


def _read_result(
    sha256: str, reason: str, message: str, facts: Sequence[Any] | None
) -> ScannedFile:
    """Read what a scan learned of one file; `ValueError` for what no scan writes."""
    texts = all(isinstance(text, str) for text in (sha256, reason, message))
    accepted = not reason and facts and [type(fact) for fact in facts] == _FACT_TYPES
    refused = reason in REASONS and not facts
    if not texts or not (accepted or refused):
        raise ValueError("no result of a scan")
    return ScannedFile(sha256, reason, message, facts_of(*facts) if facts else None)
