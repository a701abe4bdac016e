"""JSON of which two readers cannot think differently."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["parse_json"]


def parse_json(content: bytes) -> Any:
    """Read JSON that was written by a stranger.

    Args:
        content: The text, in UTF-8.

    Returns:
        Its value.

    Raises:
        ValueError: It is not UTF-8, not JSON, nested deeper than any of ours, has a number that
            JSON does not know, or gives a key twice, of which readers take the one or the other.

    Example:
        >>> parse_json(b'{"classes": 2}')
        {'classes': 2}
    """
    try:
        return json.loads(
            content.decode("utf-8"), object_pairs_hook=_as_dict, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _as_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"the key {name[:100]!r} is given twice")
        values[name] = value
    return values


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
