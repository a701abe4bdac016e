"""Tensors of a `.pth` file in PyTorch's old format, read without PyTorch and without `pickle`.

The format, as `torch.save(..., _use_new_zipfile_serialization=False)` writes it: five pickles in a
row (a magic number, the protocol, the system's numbers, a dictionary of tensors by name, a list of
the keys of storages), then for each key a count of values, in eight bytes, and the values. A tensor
is a view of a storage: offset, sides and strides, counted in values.

Whatever a file holds, it cannot run code, is read within its own bytes, and takes a small multiple
of its size in memory.

Source: `torch/serialization.py`, `_legacy_save`, and `torch/_utils.py`, `_rebuild_tensor_v2`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgclf.architectures._plain_pickle import (
    ORDERED_DICTIONARY,
    Call,
    Name,
    PickleFault,
    PickleReader,
    Reference,
)
from imgclf.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

VIEW = "torch._utils._rebuild_tensor_v2"
DTYPES = {"torch.FloatStorage": "<f4", "torch.LongStorage": "<i8"}
"""Storages, which are all that weights of a network need, and the NumPy type of their values."""

MOST_AXES = 8


@dataclass(frozen=True, slots=True)
class _View:
    """Where a tensor's values lie in a storage; all counts are of values."""

    dtype: str
    key: str
    count: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(content: bytes, name: str) -> dict[str, NDArray[np.generic]]:
    """Read the tensors of a `.pth` file.

    Args:
        content: What the file holds.
        name: Its name, for messages.

    Returns:
        Arrays of float32 or int64 by name, which cannot be written to: views of `content`.

    Raises:
        WeightsError: The file is damaged, of another format, or holds more than tensors.
    """
    try:
        reader = PickleReader(content, {ORDERED_DICTIONARY, VIEW, *DTYPES})
        _check_header(reader)
        views = _read_views(reader)
        starts = _find_storages(reader, views)
        reader.check_end()
    except PickleFault as error:
        raise WeightsError(f"The weights file {name} cannot be read: it {error}.") from error
    return {key: _array(content, view, starts[view.key]) for key, view in views.items()}


def _check_header(reader: PickleReader) -> None:
    if reader.read() != MAGIC_NUMBER or reader.read() != PROTOCOL:
        raise PickleFault("is not in PyTorch's old format")
    system = reader.read()
    if type(system) is not dict or system.get("little_endian") is not True:
        raise PickleFault("does not say that its numbers are little-endian")


def _read_views(reader: PickleReader) -> dict[str, _View]:
    tensors = reader.read()
    if type(tensors) is not dict:
        raise PickleFault("holds no dictionary of tensors")
    views = {key: _view(value) for key, value in tensors.items()}
    counts: dict[str, tuple[str, int]] = {}
    for view in views.values():
        if counts.setdefault(view.key, (view.dtype, view.count)) != (view.dtype, view.count):
            raise PickleFault("describes one storage in two ways")
    # A storage may be shared, but thousands of tensors of one storage would grow in memory.
    if sum(math.prod(view.shape) for view in views.values()) > sum(n for _, n in counts.values()):
        raise PickleFault("has more values in its tensors than in its storages")
    return views


def _view(value: Any) -> _View:
    """Check what a file says of a tensor: nothing may lie outside its storage."""
    if type(value) is not Call or value.name != VIEW or len(value.arguments) < 4:
        raise PickleFault("holds something that is not a tensor")
    storage, offset, shape, strides = value.arguments[:4]
    dtype, key, count = _storage(storage)
    if not _are_counts(shape) or not _are_counts(strides) or len(shape) != len(strides):
        raise PickleFault("has a tensor without a shape")
    if not _are_counts((offset,)) or 0 in shape or len(shape) > MOST_AXES:
        raise PickleFault("has a tensor of an impossible shape")
    last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
    if last >= count or math.prod(shape) > count:
        raise PickleFault("has a tensor that reaches beyond its storage")
    # Along an axis of one value there is no step to be made: a file may state any.
    strides = tuple(step if side > 1 else 0 for side, step in zip(shape, strides, strict=True))
    return _View(dtype, key, count, offset, shape, strides)


def _storage(value: Any) -> tuple[str, str, int]:
    """Return the type of the values of a storage, its key and their count."""
    description = value.description if type(value) is Reference else None
    if type(description) is not tuple or len(description) not in (5, 6):
        raise PickleFault("has a tensor without a storage")
    word, kind, key, _, count, *_ = description
    if word != "storage" or type(kind) is not Name or kind.text not in DTYPES:
        raise PickleFault("has a storage of an unknown type")
    if type(key) is not str or not _are_counts((count,)):
        raise PickleFault("has a storage without a key or a count")
    return DTYPES[kind.text], key, count


def _are_counts(values: Any) -> bool:
    """Tell whether values are a tuple of whole numbers from 0 on."""
    return type(values) is tuple and all(type(value) is int and value >= 0 for value in values)


def _find_storages(reader: PickleReader, views: Mapping[str, _View]) -> dict[str, int]:
    """Return where the values of each storage begin."""
    keys = reader.read()
    described = {view.key: view for view in views.values()}
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise PickleFault("has no list of storages")
    if len(set(keys)) != len(keys) or set(keys) != set(described):
        raise PickleFault("lists other storages than its tensors have")
    starts = {}
    for key in keys:
        view = described[key]
        if int.from_bytes(reader.take(8), "little", signed=True) != view.count:
            raise PickleFault("has a storage of another size than it says")
        starts[key] = reader.place
        reader.skip(view.count * int(view.dtype[-1]))
    return starts


def _array(content: bytes, view: _View, start: int) -> NDArray[np.generic]:
    import numpy as np

    size = int(view.dtype[-1])
    return np.ndarray(
        view.shape,
        np.dtype(view.dtype),
        buffer=content,
        offset=start + view.offset * size,
        strides=tuple(step * size for step in view.strides),
    )
