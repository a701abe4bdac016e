"""Tokens: the mode is always set, and nobody connects without one by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgclf.clusters.address import parse_address
from imgclf.clusters.tokens import token_variables
from imgclf.errors import ArgumentError

FAR = parse_address("10.0.0.5:6379")
NEAR = parse_address("127.0.0.1:6379")


@pytest.fixture(autouse=True)
def no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no token of the user's be found."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


def test_a_local_cluster_has_a_token_that_nobody_else_knows() -> None:
    """Another one each time, whatever the user has."""
    first, second = (
        token_variables(parse_address("local"), allow_unauthenticated=False) for _ in range(2)
    )
    assert first["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]


def test_another_machine_needs_a_token() -> None:
    """Without one only `--allow-unauthenticated` leads there; loopback needs none."""
    for address in (FAR, parse_address("auto")):
        with pytest.raises(ArgumentError, match="--allow-unauthenticated"):
            token_variables(address, allow_unauthenticated=False)
        assert token_variables(address, allow_unauthenticated=True) == {"RAY_AUTH_MODE": "disabled"}
    assert token_variables(NEAR, allow_unauthenticated=False) == {"RAY_AUTH_MODE": "disabled"}


def test_a_token_is_found_where_ray_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the user's folder, in a file that a variable names, in a variable; the last wins."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("one")
    assert token_variables(FAR, allow_unauthenticated=False) == {"RAY_AUTH_MODE": "token"}
    (tmp_path / "token").write_text("two")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    found = token_variables(FAR, allow_unauthenticated=False)
    assert found == {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    monkeypatch.setenv("RAY_AUTH_TOKEN", "three")
    assert "three" in token_variables(NEAR, allow_unauthenticated=False).values()


def test_a_file_without_a_token_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would end the whole process."""
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "missing"))
    with pytest.raises(ArgumentError, match="cannot be read"):
        token_variables(FAR, allow_unauthenticated=False)
    (tmp_path / "missing").write_text("\n")
    with pytest.raises(ArgumentError, match="is empty"):
        token_variables(FAR, allow_unauthenticated=False)
