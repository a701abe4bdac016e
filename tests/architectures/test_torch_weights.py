"""The promises of the reader of `.pth` files: tensors as they were saved, and nothing else."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest

from imgclf.architectures._torch_weights import read_tensors
from imgclf.errors import WeightsError
from torch_files import Global, Outside, Reduce, Tensor, pickled, pth, two_tensors


def read(**changes: Any) -> dict[str, np.ndarray]:
    """Read a sound file with a change in what it says of its kernel."""
    tensors, storages = two_tensors()
    for name, value in changes.items():
        setattr(tensors["kernel"], name, value)
    return read_tensors(pth(tensors, storages), "small.pth")


def test_strides_are_honoured() -> None:
    """A transposed tensor has its own axes, not those in which its values lie; types are kept."""
    found = read()
    assert list(found) == ["kernel", "steps"]
    assert np.array_equal(found["kernel"], np.arange(24).reshape(2, 3, 4).transpose())
    assert found["kernel"].dtype == np.float32
    assert found["steps"].dtype == np.int64
    assert found["steps"].shape == ()
    assert found["steps"] == 7
    assert read(shape=(2, 2), strides=(12, 4), offset=3)["kernel"].tolist() == [[3, 7], [15, 19]]


def test_an_axis_of_one_value_may_state_any_step() -> None:
    """PyTorch does not care for it, and so it may be anything."""
    assert read(shape=(1, 24), strides=(2**62, 1))["kernel"].shape == (1, 24)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"offset": 1}, "beyond its storage"),
        ({"offset": -1}, "impossible shape"),
        ({"strides": (1, 4, 13)}, "beyond its storage"),
        ({"strides": (1, 4, 2**62)}, "beyond its storage"),
        ({"strides": (1, 4, -12)}, "without a shape"),
        ({"shape": (2**62, 3, 2), "strides": (0, 4, 12)}, "beyond its storage"),
        ({"shape": (25, 3, 2), "strides": (0, 4, 12)}, "beyond its storage"),
        ({"shape": (0, 2**62)}, "without a shape"),
        ({"shape": (0,), "strides": (1,)}, "impossible shape"),
        ({"shape": (1,) * 9, "strides": (1,) * 9}, "impossible shape"),
        ({"shape": (True,), "strides": (1,)}, "without a shape"),
        ({"shape": [4], "strides": (1,)}, "without a shape"),
        ({"count": 25}, "of another size than it says"),
        ({"count": 2**62, "shape": (2**62,), "strides": (1,)}, "of another size than it says"),
        ({"key": "three"}, "other storages"),
        ({"key": 3}, "without a key"),
        ({"kind": Global("torch", "HalfStorage")}, "names 'torch.HalfStorage'"),
        ({"kind": "FloatStorage"}, "of an unknown type"),
        ({"kind": Global("torch", "LongStorage")}, "cut off"),
    ],
)
def test_a_tensor_lies_within_its_storage(changes: dict[str, Any], reason: str) -> None:
    """Offset, shape, steps and counts are checked before anything is read by them."""
    with pytest.raises(WeightsError, match=reason) as caught:
        read(**changes)
    assert "small.pth" in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        Reduce(Global("os", "system"), ("false",)),
        Reduce(Global("builtins", "eval"), ("1",)),
        Reduce(Global("torch", "FloatStorage"), ()),
        Reduce(Global("collections", "OrderedDict"), ([],)),
        Reduce(Global("torch._utils", "_rebuild_tensor_v2"), ()),
        Outside(("storage",)),
        b"i__main__\nx\n",  # makes an instance
        b"\x81",  # makes an object
        b"\x93",  # names what is on the stack
        b"",
        7,
        None,
        [1],
    ],
)
def test_what_is_no_tensor_is_refused_and_not_run(value: Any) -> None:
    """Names are compared, never imported; calls are noted, never made."""
    with pytest.raises(WeightsError):
        read_tensors(pth({"kernel": value}, {}), "evil.pth")


def test_an_ordinary_pickle_is_refused_before_it_does_anything(tmp_path: Any) -> None:
    """What `pickle.load` would run does not run."""
    target = tmp_path / "written"

    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str, str]]:
            return open, (str(target), "w")

    with pytest.raises(WeightsError, match="names '"):
        read_tensors(pickle.dumps(Evil(), protocol=2), "evil.pth")
    assert not target.exists()


def test_tensors_may_not_outgrow_their_storages() -> None:
    """A thousand tensors of one storage would take a thousand times the file's size."""
    tensors, storages = two_tensors()
    many = {f"copy{number}": tensors["kernel"] for number in range(1_000)}
    with pytest.raises(WeightsError, match="more values in its tensors than in its storages"):
        read_tensors(pth({**many, "steps": tensors["steps"]}, storages), "many.pth")


@pytest.mark.parametrize(
    "bomb",
    [
        b"}" * 300_000,
        b"(" * 300_000,
        b")q\x00" + b"h\x00h\x00\x86q\x00" * 40_000 + b"}h\x00Ns",  # a key of 2 ** 40,000 parts
        b"Nr\xff\xff\xff\xff",
        b"X\xff\xff\xff\x7f",
        b"\x96" + b"\xff" * 7 + b"\x0f",
        b"c" + b"a" * 300_000,
        b"]q\x00h\x00a.",
    ],
)
def test_a_bomb_takes_neither_time_nor_memory(bomb: bytes) -> None:
    """Counts are compared with what is there, instructions are counted, keys are texts."""
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError):
            read_tensors(b"\x80\x02" + bomb, "bomb.pth")
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_a_file_ends_where_its_last_tensor_does() -> None:
    """Neither a byte less nor one more."""
    content = pth(*two_tensors())
    for wrong in (content[:-1], content + b"\0", b"", content[: len(content) // 2]):
        with pytest.raises(WeightsError, match="cannot be read: it "):
            read_tensors(wrong, "small.pth")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04 a newer format", "instruction|protocol"),
        (pickled(1) + pickled(1001) + pickled({}), "not in PyTorch's old format"),
        (
            pickled(0x1950A86A20F9469CFC6C) + pickled(1001) + pickled({"little_endian": False}),
            "little-endian",
        ),
    ],
)
def test_another_format_is_named(content: bytes, reason: str) -> None:
    """A file of another kind is one line."""
    with pytest.raises(WeightsError, match=reason) as caught:
        read_tensors(content, "other.pth")
    assert "\n" not in str(caught.value)


def test_two_descriptions_of_one_storage_are_refused() -> None:
    """Which of them would be true?"""
    tensors, storages = two_tensors()
    tensors["other"] = Tensor(key="one", count=23, shape=(1,), strides=(1,))
    with pytest.raises(WeightsError, match="one storage in two ways"):
        read_tensors(pth(tensors, storages), "small.pth")
