"""The token that Ray's processes show each other, and the variables by which Ray finds it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from imgclf.clusters.address import ClusterAddress
from imgclf.errors import ArgumentError, in_one_line

__all__ = ["TOKEN_VARIABLES", "token_variables"]

MODE, TOKEN, TOKEN_FILE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
TOKEN_VARIABLES = (MODE, TOKEN, TOKEN_FILE)
"""The environment variables that Ray reads; the token itself comes before the file's path."""

TOKEN_BYTES = 32
"""Random bytes of a token: as many as Ray's own have."""


def token_variables(address: ClusterAddress, *, allow_unauthenticated: bool) -> dict[str, str]:
    """Decide how Ray's processes prove that they belong together.

    The mode is always set: what Ray does by default differs from version to version.

    Args:
        address: The cluster. A local one gets a new token, which only its own processes have.
        allow_unauthenticated: Connect without a token.

    Returns:
        The values of `TOKEN_VARIABLES`; those that are missing have to be unset.

    Raises:
        ArgumentError: There is no token, and other machines may reach the cluster.
    """
    if address.is_local:
        return {MODE: "token", TOKEN: secrets.token_hex(TOKEN_BYTES)}
    if allow_unauthenticated:
        return {MODE: "disabled"}
    given = {name: os.environ[name] for name in (TOKEN, TOKEN_FILE) if os.environ.get(name)}
    _require_readable(given)
    if given or _default_file().is_file():
        return {MODE: "token", **given}
    if address.is_loopback:
        return {MODE: "disabled"}
    raise ArgumentError(
        f"There is no token for the cluster {address.text}, and whoever reaches a cluster without "
        "one runs code on it: put its token into ~/.ray/auth_token (ray get-auth-token on its "
        "first machine shows it), or add --allow-unauthenticated (allow_unauthenticated=True)."
    )


def _require_readable(given: dict[str, str]) -> None:
    """Refuse a path that leads to no token: Ray would end the whole process."""
    if TOKEN in given or TOKEN_FILE not in given:
        return
    file = Path(given[TOKEN_FILE])
    try:
        content = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(
            f"{TOKEN_FILE}={str(file)!r} cannot be read ({in_one_line(error)}): name the file of "
            "the cluster's token, or unset it."
        ) from error
    if not content:
        raise ArgumentError(f"{TOKEN_FILE}={str(file)!r} is empty: name the file of the token.")


def _default_file() -> Path:
    return Path.home() / ".ray" / "auth_token"
