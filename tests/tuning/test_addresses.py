"""Addresses at which a search listens."""

from __future__ import annotations

import pytest

from imgclf.errors import ArgumentError
from imgclf.tuning.addresses import parse_address, require_private

EVERYBODY = "0.0.0.0"  # noqa: S104 - asked about, never listened on


def test_other_machines_are_let_in_only_on_request() -> None:
    """An address that others can reach needs an explicit word; nonsense is named."""
    require_private("127.0.0.1", allow_network=False)
    require_private("localhost", allow_network=False)
    require_private(EVERYBODY, allow_network=True)
    assert parse_address("[::1]:7777") == ("::1", 7777)
    for host in (EVERYBODY, "::"):
        with pytest.raises(ArgumentError, match="--allow-network"):
            require_private(host, allow_network=False)
    for text in ("7777", "localhost", ":1", "a:b", "127.0.0.1:70000"):
        with pytest.raises(ArgumentError, match="HOST:PORT"):
            parse_address(text)
