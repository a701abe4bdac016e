"""Addresses of clusters: Ray's own syntax, or one line that says what is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from imgclf.clusters.address import parse_address
from imgclf.errors import ArgumentError


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("10.0.0.5:6379", "10.0.0.5", 6379, False),
        ("127.0.0.1:1", "127.0.0.1", 1, True),
        ("localhost:6379", "localhost", 6379, True),
        ("[::1]:6379", "::1", 6379, True),
        ("first.example.org:6379", "first.example.org", 6379, False),
        ("auto", "", 0, False),
        ("local", "", 0, False),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int, is_loopback: bool) -> None:
    """Host and port, and whether other machines may be behind it."""
    address = parse_address(text)
    assert (address.host, address.port, address.is_loopback) == (host, port, is_loopback)
    assert address.text == text
    assert address.is_local == (text == "local")


@pytest.mark.parametrize("wrong", ["", "10.0.0.5", "x:0", "x:70000", "x:y", "a b:1", None, 6379])
def test_what_is_no_address_is_refused(wrong: Any) -> None:
    """The message shows what was given, and the three forms."""
    with pytest.raises(ArgumentError, match=r"HOST:PORT.*auto.*local"):
        parse_address(wrong)


def test_a_client_server_is_refused_with_what_to_do() -> None:
    """`ray://` needs another package; joining the cluster does not."""
    with pytest.raises(ArgumentError, match=r"ray start --address=HOST:PORT"):
        parse_address("ray://10.0.0.5:10001")
