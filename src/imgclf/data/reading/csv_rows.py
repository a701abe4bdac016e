"""The rows of a CSV file with the numbers of their lines, whoever wrote it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from imgclf.errors import DataError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

__all__ = ["csv_rows"]

Row = dict[str, str]


def csv_rows(
    path: str | os.PathLike[str], content: bytes
) -> tuple[Sequence[str], Iterator[tuple[int, Row]]]:
    """Read a CSV file line by line.

    Args:
        path: Where it lies, for messages.
        content: UTF-8, with or without a byte order mark; other bytes, as they occur in file names,
            are kept as surrogate escapes.

    Returns:
        The names of its columns, and its rows: the number of the line that a row ends at, and its
        entries by column. An entry that a row lacks is empty.

    Raises:
        DataError: It is no CSV file; the message names the line. The rows raise it, too.
    """
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", "surrogateescape", newline="")
    reader = csv.DictReader(text, restval="")
    try:
        columns = reader.fieldnames or ()
    except csv.Error as error:
        raise _damaged(path, 1, error) from error
    return columns, _rows(path, reader)


def _rows(path: str | os.PathLike[str], reader: csv.DictReader[str]) -> Iterator[tuple[int, Row]]:
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _damaged(path, reader.reader.line_num, error) from error
        yield reader.line_num, row


def _damaged(path: str | os.PathLike[str], line: int, error: csv.Error) -> DataError:
    return DataError(f"{path}, line {line}: this is no CSV file ({error}): correct the line.")
