"""The recorded split of a run, which later trainings and evaluations keep."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from imgclf.data.reading.csv_rows import csv_rows, shortened
from imgclf.errors import DataError, DataNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imgclf.data.division.samples import Sample
    from imgclf.data.reading.image_folder import Split

__all__ = ["RecordedSplit", "keep_held_out", "read_rows", "read_split"]

COLUMNS = ("path", "sha256", "class", "split")


@dataclass(frozen=True, slots=True)
class RecordedSplit:
    """The split of every image of a run.

    Attributes:
        by_sha256: Split of each file content.
        by_path: Split of each path, for files that were saved again since.
    """

    by_sha256: Mapping[str, Split]
    by_path: Mapping[str, Split]

    def side_of(self, sample: Sample) -> Split | None:
        """Return the split of an image; None for a new one."""
        return self.by_sha256.get(sample.sha256) or self.by_path.get(sample.path)

    def folder_of(self, side: Split) -> str:
        """Return the folder in which all images of a split lie."""
        folders = [os.path.dirname(path) for path, own in self.by_path.items() if own == side]  # noqa: PTH120
        try:
            return os.path.commonpath(folders)
        except ValueError:  # They lie on several drives.
            return folders[0]

    @property
    def held_out(self) -> Split:
        """The split that is evaluated: test, or validation where there is no test."""
        return "test" if "test" in self.by_sha256.values() else "val"


def read_split(path: str | os.PathLike[str]) -> RecordedSplit:
    """Read the ``split.csv`` of a run folder.

    Args:
        path: A CSV file with the columns path, sha256, class and split.

    Returns:
        The split.

    Raises:
        DataNotFoundError: The file does not exist.
        DataError: It is no such file, or gives one content two sides; the message names the line.
    """
    by_sha256: dict[str, Split] = {}
    by_path: dict[str, Split] = {}
    for line, row in read_rows(path):
        split = cast("Split", row["split"])
        if by_sha256.setdefault(row["sha256"], split) != split:
            raise DataError(
                f"{path}, line {line}: the content of {shortened(row['path'])} is already in "
                f"{by_sha256[row['sha256']]}: put the same file into one split."
            )
        by_path[row["path"]] = split
    return RecordedSplit(by_sha256, by_path)


def read_rows(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Read the rows of a ``split.csv`` with their line numbers.

    Args:
        path: A CSV file with the columns path, sha256, class and split.

    Yields:
        The line's number and its columns; ``split`` is train, val or test.

    Raises:
        DataNotFoundError: The file does not exist.
        DataError: It is no such file; the message names the line.
    """
    columns, rows = csv_rows(path, _content(path))
    if set(COLUMNS) - set(columns):
        raise DataError(f"{path} is not a split.csv: its columns must be {', '.join(COLUMNS)}.")
    for line, row in rows:
        if row["split"] not in ("train", "val", "test"):
            raise DataError(
                f"{path}, line {line}: split {shortened(row['split'])} is not accepted: "
                "give train, val or test."
            )
        yield line, row


def keep_held_out(
    samples: Sequence[Sample], path: str | os.PathLike[str], *, otherwise: str
) -> tuple[list[Sample], str]:
    """Keep the images of a folder that a run recorded as held out.

    Args:
        samples: Images of a folder, such as the one that the run was trained on.
        path: The run's ``split.csv``.
        otherwise: What else can be done where the run holds none of them out: the end of a
            sentence.

    Returns:
        The images of its test split (or its validation split, where it has no test), and a remark
        that says so.

    Raises:
        DataNotFoundError: The file does not exist.
        DataError: It is no such file, or none of the images is in that split.
    """
    recorded = read_split(path)
    side = recorded.held_out
    kept = [sample for sample in samples if recorded.side_of(sample) == side]
    if not kept:
        used = sum(recorded.side_of(sample) is not None for sample in samples)
        raise DataError(
            f"None of these {len(samples)} images is a {side} image of the run: {used} of them "
            f"were used in its training. Its {side} images are in {recorded.folder_of(side)}: give "
            f"that folder; {otherwise}."
        )
    caution = ", which also chose the epoch" if side == "val" else ""
    remark = (
        f"Measured on the {len(kept)} {side} images of {os.fspath(path)}{caution}; "
        f"{len(samples) - len(kept)} other images left out."
    )
    return kept, remark


def _content(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise DataNotFoundError(f"The split file {path} does not exist: check the path.") from error
    except OSError as error:
        raise DataError(f"The split file {path} cannot be read ({error.strerror}).") from error
