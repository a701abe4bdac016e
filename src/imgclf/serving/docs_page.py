"""The page that shows an OpenAPI description: one document that fetches nothing."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from imgclf.serving.problems import CODES

__all__ = ["docs_page"]

Json = dict[str, Any]

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentcolor 20%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
pre { border: 1px solid var(--line); border-radius: .4rem; overflow-x: auto; padding: .7rem;
  white-space: pre-wrap; }
section { border-top: 1px solid var(--line); padding-block: .5rem; }
th code { white-space: nowrap; }
h2 code b { display: inline-block; min-width: 3.5em; }
h2 { font-size: 1.1rem; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .8rem .2rem 0; text-align: start;
  vertical-align: top; }
"""

EXAMPLES = {
    "/predict": (
        "curl -F image=@cat.jpg -F image=@dog.jpg '{base}/predict?top=5'\n"
        "curl --data-binary @cat.jpg -H 'Content-Type: image/jpeg' {base}/predict"
    ),
    "/v2/models/{name}/infer": (
        "# pip install 'tritonclient[http]'\n"
        "client = tritonclient.http.InferenceServerClient(address)\n"
        'pixels = tritonclient.http.InferInput("image", [1, 224, 224, 3], "UINT8")\n'
        "pixels.set_data_from_numpy(array)\n"
        'client.infer("NAME", [pixels]).as_numpy("label")'
    ),
}
"""What the addresses are called with, beside their description."""


def docs_page(description: Json, address: str) -> str:
    """Return the page.

    Args:
        description: An OpenAPI description.
        address: Under which the server was asked for it, without a slash at its end.

    Returns:
        HTML.
    """
    info = description["info"]
    sections = [
        _section(path, method, operation, description, address)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    return (
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}: addresses</title><style>{STYLE}</style>"
        f"<main><h1>{escape(info['title'])} {escape(info['version'])}: addresses</h1>"
        f"<p>{escape(info['description'])} For programs: "
        '<a href="openapi.json">openapi.json</a>.</p>'
        f"{''.join(sections)}{_problems()}</main></html>"
    )


def _section(path: str, method: str, operation: Json, description: Json, address: str) -> str:
    example = EXAMPLES.get(path, "").replace("{base}", address)
    bodies = operation.get("requestBody", {}).get("content", {})
    return (
        f"<section><h2><code><b>{method.upper()}</b> {escape(path)}</code></h2>"
        f"<p>{escape(operation['summary'])}. {escape(operation.get('description', ''))}</p>"
        + _parameters(operation.get("parameters", []))
        + (f"<p>Takes {escape(', '.join(bodies))}.</p>" if bodies else "")
        + (f"<pre>{escape(example)}</pre>" if example else "")
        + _answer(operation["responses"]["200"], description)
        + "</section>"
    )


def _parameters(parameters: list[Json]) -> str:
    rows = [
        f"<tr><th scope=row><code>{escape(item['name'])}</code><td>{escape(item['schema']['type'])}"
        f"<td>{escape(item.get('description', 'In the address.'))}"
        for item in parameters
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _answer(answer: Json, description: Json) -> str:
    text = f"<p>Answers 200: {escape(answer['description'])}.</p>"
    for content in answer.get("content", {}).values():
        reference = content["schema"].get("$ref", "")
        if reference:
            schema = description["components"]["schemas"][reference.rpartition("/")[2]]
            shape = json.dumps(_shape(schema, description), indent=2)
            text += f"<pre>{escape(shape)}</pre>"
    return text


def _shape(schema: Json, description: Json) -> Any:
    """Return what a schema looks like: a value with the names of types in it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _shape(description["components"]["schemas"][name], description)
    kind = schema.get("type", "any")
    if kind == "object" and "properties" in schema:
        return {name: _shape(part, description) for name, part in schema["properties"].items()}
    if kind == "object":
        return {"NAME": _shape(schema["additionalProperties"], description)}
    if kind == "array":
        return [_shape(schema["items"], description)]
    return kind if isinstance(kind, str) else " or ".join(kind)


def _problems() -> str:
    rows = [
        f"<tr><th scope=row><code>{code}</code><td>{status}<td>{escape(title)}."
        for code, (status, title) in CODES.items()
    ]
    return (
        "<section><h2>Problems</h2><p>Whatever is refused is answered with "
        "<code>application/problem+json</code>: what was given, what is accepted, and what to do."
        f"</p><table>{''.join(rows)}</table></section>"
    )
