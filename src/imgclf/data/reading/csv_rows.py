"""The rows of a CSV file with the numbers of their lines, whoever wrote it."""

from __future__ import annotations

import codecs
import csv
import io
from itertools import zip_longest
from typing import TYPE_CHECKING

from imgclf.errors import DataError

if TYPE_CHECKING:
    import os
    from _csv import Reader
    from collections.abc import Iterator, Sequence

__all__ = ["csv_rows", "shortened"]

DELIMITERS = ",;\t"
"""What spreadsheets write between entries, by the language of their user."""

LONGEST_ENTRY = 100
"""Characters of an entry that a message shows; an unclosed quote makes half the file one entry."""

Row = dict[str, str]


def csv_rows(
    path: str | os.PathLike[str], content: bytes
) -> tuple[Sequence[str], Iterator[tuple[int, Row]]]:
    """Read a CSV file line by line.

    Args:
        path: Where it lies, for messages.
        content: Entries between ``,``, ``;`` or tabs. UTF-8, with or without a byte order mark, or
            UTF-16 with one; other bytes, as they occur in file names, are kept as surrogate
            escapes.

    Returns:
        The names of its columns in lower case, without blanks around them; and its rows: the number
        of the line that a row begins at, and its entries by column. An entry that a row lacks is
        empty; rows without any entry are left out.

    Raises:
        DataError: It is no CSV file; the message names the line. The rows raise it, too.
    """
    text = _text(content)
    heading = text.readline()
    if "\0" in heading:
        raise DataError(f"{path}, line 1: this is no UTF-8 text: save the file as CSV UTF-8.")
    text.seek(0)
    reader = csv.reader(text, delimiter=max(DELIMITERS, key=heading.count), strict=True)
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
    except csv.Error as error:
        raise _damaged(path, 1, error) from error
    twice = [name for name in columns if name and columns.count(name) > 1]
    if twice:
        raise DataError(f"{path} has the column {twice[0]!r} twice: remove one of them.")
    return columns, _rows(path, columns, reader)


def shortened(entry: str) -> str:
    """Show an entry in a message: quoted, and not half the file."""
    return repr(entry if len(entry) <= LONGEST_ENTRY else f"{entry[:LONGEST_ENTRY]}...")


def _text(content: bytes) -> io.TextIOWrapper:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return io.TextIOWrapper(io.BytesIO(content), "utf-16", "replace", newline="")
    return io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", "surrogateescape", newline="")


def _rows(
    path: str | os.PathLike[str], columns: Sequence[str], reader: Reader
) -> Iterator[tuple[int, Row]]:
    while True:
        line = reader.line_num + 1
        try:
            entries = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _damaged(path, line, error) from error
        if any(entries[len(columns) :]):
            raise DataError(
                f"{path}, line {line}: there are more entries than columns: put an entry that has "
                "a separator in it into double quotes."
            )
        if any(entries):
            yield line, dict(zip_longest(columns, entries[: len(columns)], fillvalue=""))


def _damaged(path: str | os.PathLike[str], line: int, error: csv.Error) -> DataError:
    return DataError(
        f"{path}, line {line}: this is no CSV file ({error}): is a double quote not closed, or a "
        "part of a name? Write it twice, in an entry between double quotes."
    )
