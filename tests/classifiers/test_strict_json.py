"""The promise of strict JSON: a text has one meaning, or none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgclf.classifiers.strict_json import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_what_json_writes_is_read(value: object) -> None:
    """Every value comes back as it was written."""
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 1}', b'[{"b": {"a": 1, "\\u0061": 2}}]', b"NaN", b"[-Infinity]", b"\xff",
        b"",
        b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5_000, '{"a": 1}'.encode("utf-16"), b"{} {}",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(text: bytes) -> None:
    """Keys given twice, numbers that are none, and endless nesting are a ValueError."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_json(text)


def test_a_million_keys_are_read_in_time() -> None:
    """Looking for keys given twice does not take longer the more there are."""
    text = json.dumps({str(number): 0 for number in range(300_000)}).encode()
    assert len(parse_json(text)) == 300_000
