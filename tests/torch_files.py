"""Writes small `.pth` files in PyTorch's old format, sound ones and others, without PyTorch."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "long": 4}}


@dataclass(frozen=True)
class Global:
    """A class or function that a pickle names."""

    module: str
    name: str


@dataclass(frozen=True)
class Reduce:
    """A call in a pickle."""

    function: Any
    arguments: Any


@dataclass(frozen=True)
class Outside:
    """A reference to an object outside of a pickle."""

    description: Any


@dataclass
class Tensor:
    """What a file says of a tensor; every part may be wrong."""

    key: Any = "0"
    kind: Any = field(default_factory=lambda: Global("torch", "FloatStorage"))
    count: Any = 0
    offset: Any = 0
    shape: Any = ()
    strides: Any = ()

    def pickled(self) -> Reduce:
        """Return the call that a pickle makes of it."""
        storage = Outside(("storage", self.kind, self.key, "cpu", self.count, None))
        hooks = Reduce(Global("collections", "OrderedDict"), ())
        arguments = (storage, self.offset, self.shape, self.strides, False, hooks)
        return Reduce(Global("torch._utils", "_rebuild_tensor_v2"), arguments)


def pickled(value: Any) -> bytes:
    """Write a value as a pickle of protocol 2."""
    return b"\x80\x02" + _code(value) + b"."


def _code(value: Any) -> bytes:
    return _CODES[type(value)](value)


def _code_of_number(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    number = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(number)]) + number


def _codes(values: Iterable[Any]) -> bytes:
    return b"".join(map(_code, values))


_CODES: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"N",
    bool: lambda value: b"\x88" if value else b"\x89",
    int: _code_of_number,
    str: lambda value: b"X" + struct.pack("<I", len(value.encode())) + value.encode(),
    tuple: lambda value: b"(" + _codes(value) + b"t",
    list: lambda value: b"](" + _codes(value) + b"e",
    dict: lambda value: b"}(" + _codes(part for item in value.items() for part in item) + b"u",
    Global: lambda value: f"c{value.module}\n{value.name}\n".encode(),
    Reduce: lambda value: _code(value.function) + _code(value.arguments) + b"R",
    Outside: lambda value: _code(value.description) + b"Q",
    Tensor: lambda value: _code(value.pickled()),
    bytes: lambda value: value,  # instructions as they are
}


def pth(
    tensors: dict[str, Any],
    storages: dict[str, np.ndarray],
    *,
    counts: dict[str, int] | None = None,
) -> bytes:
    """Write a file.

    Args:
        tensors: By name.
        storages: Values by key, of one axis, in the order in which they are written.
        counts: What the file says before the values of a storage, where it is not true.

    Returns:
        Its content.
    """
    parts = [pickled(value) for value in (MAGIC_NUMBER, 1001, SYSTEM, tensors, list(storages))]
    for key, values in storages.items():
        count = (counts or {}).get(key, values.size)
        parts += [struct.pack("<q", count), values.tobytes()]
    return b"".join(parts)


def two_tensors() -> tuple[dict[str, Tensor], dict[str, np.ndarray]]:
    """Return a kernel that was transposed, beside a counter: the parts of a sound file."""
    kernel = np.arange(24, dtype=np.float32)
    tensors = {
        "kernel": Tensor(key="one", count=24, shape=(4, 3, 2), strides=(1, 4, 12)),
        "steps": Tensor(key="two", kind=Global("torch", "LongStorage"), count=1),
    }
    return tensors, {"one": kernel, "two": np.array([7])}
