"""HTML for notebooks: every text is escaped, every colour works on light and dark pages."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from imgclf.machine.plain_text import printable

__all__ = ["ACCENT", "WRONG", "as_text", "card", "facts_table", "figures_table", "remarks"]

ACCENT, WRONG, CAUTION = "#1f6feb", "#d1242f", "#d99a00"

FONT = "font:13px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums"

CELL = "padding:1px 14px 1px 0;text-align:left;border:0;background:none;vertical-align:top"

TABLE = '<table class="imgclf" style="border-collapse:collapse;margin:4px 0">{}</table>'
"""With a class of its own: sites and notebooks give tables without one borders."""

NUMBER = CELL.replace("left", "right")


def as_text(text: str) -> str:
    """Return any text as HTML that shows it on one line, whatever is in it."""
    return html.escape(printable(text, is_name=True))


def card(title: str, parts: Iterable[str]) -> str:
    """Put parts below a title.

    Args:
        title: Plain text.
        parts: HTML.

    Returns:
        HTML.
    """
    return (
        f'<div style="{FONT}"><div style="font-size:15px;font-weight:600;margin:2px 0 6px">'
        f"{as_text(title)}</div>{''.join(parts)}</div>"
    )


def remarks(texts: Iterable[str]) -> str:
    """Show plain texts as cautions, each with a coloured edge."""
    style = f"border-left:3px solid {CAUTION};padding-left:8px;margin:4px 0"
    return "".join(f'<div style="{style}">{as_text(text)}</div>' for text in texts)


def facts_table(facts: Iterable[tuple[str, str]]) -> str:
    """Show names and plain texts in two columns."""
    rows = (
        f'<tr style="background:none"><td style="{CELL};opacity:.7">{as_text(name)}</td>'
        f'<td style="{CELL}">{as_text(value)}</td></tr>'
        for name, value in facts
    )
    return TABLE.format("".join(rows))


def figures_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Show a table of plain texts; all columns but the first hold numbers."""

    def cells(tag: str, texts: Sequence[str]) -> str:
        styles = [CELL, *[NUMBER] * (len(texts) - 1)]
        weight = ";font-weight:600" if tag == "th" else ""
        return "".join(
            f'<{tag} style="{style}{weight}">{as_text(text)}</{tag}>'
            for style, text in zip(styles, texts, strict=True)
        )

    lines = [cells("th", heading), *(cells("td", row) for row in rows)]
    body = "".join(f'<tr style="background:none">{line}</tr>' for line in lines)
    return TABLE.format(body)
