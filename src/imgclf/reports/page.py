"""Filling a page: one HTML file with its styles, its one script and its data, asking no network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from imgclf.machine.plain_text import printable

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["fill_page", "script_hash", "shown_name", "shown_share"]


def fill_page(
    template: str,
    scripts: Sequence[str],
    values: Mapping[str, str],
    content: Mapping[str, Any],
    *,
    styles: Sequence[str] = (),
    folders: Sequence[Traversable] = (),
    blocks: Mapping[str, str] | None = None,
) -> str:
    """Fill a template; nothing that comes from a run is ever markup.

    A template that begins with ``{{head}}`` has the head that pages share: it allows the one
    script, the styles and embedded pictures, and no request.

    Args:
        template: Name of the HTML file.
        scripts: Names of the scripts, which become one, in this order.
        values: Texts for the template's places by name; they are escaped here.
        content: What the script draws, as plain values for JSON.
        styles: Names of the page's own style sheets, which follow the one that all pages share.
        folders: Where the page's files are: each is taken from the first that has it, and from
            ``template`` beside this module where none has.
        blocks: Texts that go into their places as they are: the package's own files, base64, or
            markup in which every name is escaped.

    Returns:
        The whole page.
    """
    shared = files("imgclf.reports").joinpath("template")

    def read(name: str) -> str:
        places = (folder.joinpath(name) for folder in folders)
        file = next((place for place in places if place.is_file()), shared.joinpath(name))
        return file.read_text(encoding="utf-8")

    script = "".join(map(read, scripts))
    places = {
        **(blocks or {}),
        **{name: html.escape(printable(text)) for name, text in values.items()},
        # The page may run this one script and no other, whatever a name managed to smuggle in.
        "script_hash": script_hash(script),
        "style": "".join(map(read, ("page.css", *styles))),
        "data": _json_for_script(_printable(content)),
        "script": script,
    }
    pieces = read(template).replace("{{head}}", read("head.html")).split("{{")
    # Split first, so that a value that looks like a placeholder is never filled in itself.
    filled = [places[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces[1:])]
    return pieces[0] + "".join(filled)


def script_hash(script: str) -> str:
    """Return what names a script in a Content-Security-Policy."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"sha256-{digest}"


def shown_name(name: str) -> str:
    """Return a file name as text; bytes that are none, and what steers, are shown as escapes."""
    return printable(name, is_name=True)


def shown_share(share: float, digits: int = 1) -> str:
    """Return a share, 0 to 1, as per cent, as the page's script writes it."""
    return f"{100 * share:.{digits}f}%"


def _printable(value: Any) -> Any:
    """Return plain values of which no text can turn the direction of writing around."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {name: _printable(entry) for name, entry in value.items()}
    return [_printable(entry) for entry in value] if isinstance(value, list | tuple) else value


def _json_for_script(content: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the script element that it stands in."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
