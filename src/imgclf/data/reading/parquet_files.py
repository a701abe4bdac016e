"""Parquet files of images, as the Hugging Face hub has them.

One column has the images' content (a struct with the field ``bytes``, or plain bytes), another one
their labels. An image is named by its row: ``train.parquet/12``. Rows are read with pyarrow (the
extra ``parquet``), a few at a time and forwards; who asks for them in another order waits for the
rows before, from the beginning of their row group.
"""

from __future__ import annotations

import json
import os
import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from imgclf.data.reading.members import Archive
from imgclf.errors import DataError, ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["ParquetArchive", "open_parquet"]

ROWS_AT_ONCE = 64
"""Rows that are read together; each may have an image of megabytes."""

LABELS_AT_ONCE = 8192

MAX_LABEL_BYTES = 256 * 1024**2
"""Of one row group's labels."""

BUFFER_BYTES = 1024**2
"""Read at a time; otherwise a row group's images would come into the memory together."""

USUAL_IMAGES = ("image", "img")
USUAL_LABELS = ("label", "labels")


def open_parquet(path: Path) -> ParquetArchive:
    """Open a Parquet file, or find it open; its images are not read yet.

    Args:
        path: The file.

    Returns:
        Its rows.

    Raises:
        DataError: It is no Parquet file, damaged, or has no column of images; or pyarrow is not
            installed.
    """
    try:
        info = path.stat()
        return _open(path, info.st_size, info.st_mtime_ns, info.st_ctime_ns, os.getpid())
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise DataError(
            f"{path} is no Parquet file, or a damaged one ({reason}): copy or download it again."
        ) from error


@lru_cache(maxsize=4)
def _open(path: Path, size: int, mtime_ns: int, ctime_ns: int, _process: int) -> ParquetArchive:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise DataError(
            f"{path} needs one more package: run pip install 'imgclf[parquet]'."
        ) from error
    try:
        file = parquet.ParquetFile(
            path, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True
        )
        schema, metadata = file.schema_arrow, file.metadata
        lengths = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    except (ArrowException, ValueError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path} is no Parquet file, or a damaged one ({reason}): copy or download it again."
        ) from error
    # So many rows in so few bytes are a trap: no image takes less than one.
    if min(lengths, default=0) < 0 or sum(lengths) > size:
        raise DataError(f"{path} states {sum(lengths):,} rows in {size:,} bytes: it is damaged.")
    rows = _Rows(file, *_image_column(path, schema), tuple(accumulate(lengths, initial=0)))
    numbers = _RowNumbers(rows.starts[-1])
    return ParquetArchive(path, numbers, (), (mtime_ns, ctime_ns), rows, size)


def _image_column(path: Path, schema: Any) -> tuple[str, bool]:
    """Find the column of the images' content: its name, and whether it is that of a struct."""
    from pyarrow import types

    found: dict[str, bool] = {}
    for column in schema:
        kind = column.type
        if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            inner = kind.field("bytes").type
            if types.is_binary(inner) or types.is_large_binary(inner):
                found[column.name] = True
        elif types.is_binary(kind) or types.is_large_binary(kind):
            found[column.name] = False
    name = _choose(path, "images", found, USUAL_IMAGES, schema.names)
    return name, found[name]


def _label_column(path: Path, schema: Any) -> str:
    from pyarrow import types

    found = [
        column.name
        for column in schema
        if types.is_integer(column.type)
        or types.is_string(column.type)
        or types.is_large_string(column.type)
    ]
    named = [name for name in found if _class_names(schema, name)]
    return _choose(path, "labels", named or found, USUAL_LABELS, schema.names)


def _choose(
    path: Path, what: str, found: Iterable[str], usual: tuple[str, ...], columns: list[str]
) -> str:
    """Choose a column by its usual name, or because it is the only one."""
    names = list(found)
    chosen = [name for name in usual if name in names] or (names if len(names) == 1 else [])
    if not chosen:
        raise DataError(
            f"{path} has the columns {', '.join(map(repr, columns)) or 'none'}: name the one with "
            f"the {what} {usual[0]!r}."
        )
    return chosen[0]


def _class_names(schema: Any, column: str) -> list[str]:
    """Return the names that the hub's library keeps for the numbers of a column; empty for none."""
    try:
        kept = json.loads((schema.metadata or {})[b"huggingface"])
        names = kept["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
    all_texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if all_texts else []


class _RowNumbers(Mapping[str, int]):
    """The rows by their numbers as texts; there may be millions, so none is kept."""

    def __init__(self, num_rows: int) -> None:
        self._rows = range(num_rows)

    def __getitem__(self, name: str) -> int:
        is_number = name.isascii() and name.isdecimal() and len(name) < 19
        if not is_number or int(name) not in self._rows or str(int(name)) != name:
            raise KeyError(name)
        return int(name)

    def __iter__(self) -> Iterator[str]:
        return map(str, self._rows)

    def __len__(self) -> int:
        return len(self._rows)


@dataclass(frozen=True, slots=True, eq=False)
class ParquetArchive(Archive[int]):
    """A Parquet file; its members are its rows, by number, each said to be as large as the file."""

    kind: ClassVar[Literal["parquet"]] = "parquet"
    _rows: _Rows
    _file_size: int

    @property
    def num_rows(self) -> int:
        """The number of its images."""
        return len(self.members)

    def labels(self) -> Iterator[str | None]:
        """Yield the name of each row's class; None where it has none.

        Raises:
            DataError: There is no column of labels, or it is damaged.
        """
        from pyarrow import ArrowException

        file = self._rows.file
        try:
            column = _label_column(self.path, file.schema_arrow)
            names = _class_names(file.schema_arrow, column)
            self._require_small(column)
            for batch in file.iter_batches(LABELS_AT_ONCE, columns=[column], use_threads=False):
                for value in batch.column(0).to_pylist():
                    yield _label(value, names)
        except DataError:
            raise
        except (ArrowException, OSError, ValueError, MemoryError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"The labels in {self.path} are damaged ({reason}).") from error

    def _size(self, row: int) -> int:  # noqa: ARG002 - to know it, the row would have to be read
        return self._file_size

    def _content(self, row: int, max_bytes: int) -> bytes:
        from pyarrow import ArrowException

        try:
            content = self._rows.content(row)
        except MemoryError as error:
            raise ImageError("out_of_memory", "") from error
        except (ArrowException, OSError, ValueError) as error:
            raise ImageError("corrupt", " ".join(str(error).split())) from error
        if content is None:
            raise ImageError("not_found", "the row has no content")
        if content.size > max_bytes:
            raise ImageError("too_many_bytes", f"{content.size:,} > {max_bytes:,} bytes")
        return bytes(content)

    def _require_small(self, column: str) -> None:
        file = self._rows.file
        metadata, schema = file.metadata, file.schema
        places = [
            place for place in range(len(schema.names)) if schema.column(place).path == column
        ]
        for number in range(metadata.num_row_groups):
            # Reading raises where the column's description is damaged; asking for the description
            # first would end the process (pyarrow 26: an exception that nobody catches).
            next(file.iter_batches(1, row_groups=[number], columns=[column], use_threads=False), 0)
            group = metadata.row_group(number)
            for place in places:
                size = group.column(place).total_uncompressed_size
                if not 0 <= size <= MAX_LABEL_BYTES:
                    raise DataError(
                        f"The labels in {self.path} take {size:,} bytes: it is damaged, or a trap."
                    )


def _label(value: object, names: list[str]) -> str | None:
    if isinstance(value, int):
        if names:
            return names[value] if 0 <= value < len(names) else None
        return str(value) if value >= 0 else None
    return value if isinstance(value, str) and value else None


@dataclass(slots=True, eq=False)
class _Rows:
    """Reads the images' content row by row, forwards; threads take turns."""

    file: Any
    column: str
    in_struct: bool
    starts: tuple[int, ...]
    """First row of each row group, and the number of rows."""
    _batches: Iterator[Any] = field(default_factory=lambda: iter(()))
    _first: int = 0
    _values: Any = ()
    """What was read last: the rows from `_first` on."""
    _damage: dict[int, tuple[int, Exception]] = field(default_factory=dict)
    """By row group: from which row on it cannot be read, and why."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def content(self, row: int) -> Any:
        """Return the content of a row's image, a `pyarrow.Buffer`; None where it has none."""
        with self._lock:
            if not self._first <= row < self._first + len(self._values):
                self._go_to(row)
            value = self._values[row - self._first]
            return value.as_buffer() if value.is_valid else None

    def _go_to(self, row: int) -> None:
        group = bisect_right(self.starts, row) - 1
        first_lost, error = self._damage.get(group, (row + 1, None))
        if error is not None and row >= first_lost:
            raise error
        try:
            if row < self._first or self._first + len(self._values) <= self.starts[group]:
                self._begin(group)
            while row >= self._first + len(self._values):
                batch = next(self._batches)
                self._first += len(self._values)
                column = batch.column(0)
                self._values = column.field(0) if self.in_struct else column
        except StopIteration:
            self._lose(group, ValueError("its row group ends early"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next row must not meet it
            self._lose(group, error)

    def _begin(self, group: int) -> None:
        # One row group at a time: a damaged one must not take others with it.
        self._first, self._values = self.starts[group], ()
        self._batches = self.file.iter_batches(
            ROWS_AT_ONCE,
            row_groups=[group],
            columns=[f"{self.column}.bytes" if self.in_struct else self.column],
            use_threads=False,
        )

    def _lose(self, group: int, error: Exception) -> None:
        """Remember where a row group is damaged, and begin anew with the next row."""
        first_lost = max(self.starts[group], self._first + len(self._values))
        self._damage[group] = first_lost, error
        self._batches, self._first, self._values = iter(()), self.starts[-1], ()
        raise error
