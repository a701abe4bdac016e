"""Corrected labels: what a person decided about the suspects, as a new CSV data set."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from imgclf.atomic import write_csv_atomically
from imgclf.data.division.recorded_split import read_rows
from imgclf.data.reading.csv_rows import csv_rows, shortened
from imgclf.errors import DataError, DataNotFoundError
from imgclf.runs.folder import SUSPECTS_NAME

__all__ = ["Correction", "Relabelling", "relabel"]

OUTPUT_NAME = "relabelled.csv"

REMOVED = "-"
"""What a person writes for an image that belongs to none of the classes."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person decided about one image.

    Attributes:
        path: The image's path.
        before: The class that it had.
        after: The class that it has now; None where it is left out.
    """

    path: str
    before: str
    after: str | None


@dataclass(frozen=True, slots=True)
class Relabelling:
    """A corrected data set.

    Attributes:
        path: The CSV file; `imgclf.train` reads it in place of a folder.
        num_images: Images that it lists.
        corrections: What differs from the run's own labels, in the order of the suspects.

    Example:
        >>> corrected = imgclf.relabel("runs/pets", "suspects.csv")     # doctest: +SKIP
        >>> corrected.num_images, len(corrected.corrections)            # doctest: +SKIP
    """

    path: Path
    num_images: int
    corrections: tuple[Correction, ...]


def relabel(
    run: str | os.PathLike[str],
    suspects: str | os.PathLike[str] | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
) -> Relabelling:
    """Write the images of a run as a CSV data set with corrected labels.

    No image is moved, renamed or changed: the new labels stand in the CSV file alone, together with
    the run's division, so that every image stays on its side.

    Args:
        run: The folder of a finished run.
        suspects: Its ``suspects.csv``, or a copy, in whose column ``corrected`` a person wrote the
            right class; ``-`` leaves the image out, an empty entry keeps its label. None takes the
            one in the run folder.
        output: The file to write, which must not exist; None writes ``relabelled.csv`` into the
            run folder, in place of an earlier one.

    Returns:
        The file, and what was corrected in it.

    Raises:
        DataNotFoundError: The run's division or `suspects` does not exist.
        DataError: Nothing is corrected, an image is not of this run, a class is unknown, or
            `output` exists; the message names the line.
        WriteError: `output` cannot be written.

    Example:
        >>> corrected = imgclf.relabel("runs/pets", "suspects.csv")     # doctest: +SKIP
        >>> imgclf.train(corrected.path)                                # doctest: +SKIP
    """
    folder = Path(run)
    if not folder.is_dir():
        raise DataNotFoundError(f"The run folder {folder} does not exist: check the path.")
    rows = [row for _, row in read_rows(folder / "split.csv")]
    labels = {row["path"]: row["class"] for row in rows}
    corrections = _read_corrections(Path(suspects or folder / SUSPECTS_NAME), labels)
    target = _target(folder, output)
    decided = {item.path: item.after for item in corrections}
    kept = [
        (row["path"], label, row["split"])
        for row in rows
        if (label := decided.get(row["path"], row["class"])) is not None
    ]
    write_csv_atomically(target, ("path", "label", "split"), kept)
    return Relabelling(target, len(kept), tuple(corrections))


def _read_corrections(path: Path, labels: Mapping[str, str]) -> list[Correction]:
    """Return what differs from the run's labels; refuse a file in which nothing does."""
    classes = set(labels.values())
    corrections: dict[str, Correction] = {}
    columns, rows = csv_rows(path, _content(path))
    if {"path", "corrected"} - set(columns):
        raise DataError(
            f"{path} has the columns {', '.join(columns) or 'none'}: it needs path "
            "and corrected, as in the suspects.csv of a run."
        )
    for line, row in rows:
        entry, where = row["corrected"].strip(), f"{path}, line {line}"
        if not entry:
            continue
        before = labels.get(row["path"])
        if before is None:
            raise DataError(
                f"{where}: {shortened(row['path'])} is no image of this run: check the run."
            )
        after = _decision(entry, classes, where)
        if after != before:
            corrections[row["path"]] = Correction(row["path"], before, after)
    if not corrections:
        raise DataError(
            f"{path} corrects nothing: write the right class into its column corrected, or "
            f"{REMOVED} to leave an image out."
        )
    return list(corrections.values())


def _decision(entry: str, classes: Collection[str], where: str) -> str | None:
    if entry in classes:
        return entry
    if entry == REMOVED:
        return None
    close = difflib.get_close_matches(entry, classes, n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    raise DataError(
        f"{where}: {shortened(entry)} is no class of this run.{meant} Give one of "
        f"{', '.join(sorted(classes))}, or {REMOVED} to leave the image out."
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataNotFoundError(f"{path} does not exist: check the path.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error


def _target(folder: Path, output: str | os.PathLike[str] | None) -> Path:
    if output is None:
        return folder / OUTPUT_NAME
    target = Path(output)
    if target.suffix.lower() != ".csv":
        raise DataError(f"{target} does not end in .csv, by which data sets are recognised.")
    if target.exists():
        raise DataError(f"{target} exists already: give another name.")
    return target
