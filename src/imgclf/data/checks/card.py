"""What the check of a folder shows in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgclf.pictures.markup import CAUTION, WRONG, as_text, card, figures_table

if TYPE_CHECKING:
    from imgclf.data.checks.findings import Finding

__all__ = ["report_card"]

EDGES = {"error": WRONG, "warning": CAUTION, "note": "#8888"}

MOST_CLASSES = 30


def report_card(
    title: str,
    directory: str,
    heading: Sequence[str],
    rows: Sequence[Sequence[str]],
    findings: Sequence[Finding],
) -> str:
    """Return a report as HTML.

    Args:
        title: What the folder holds, in a line.
        directory: The folder.
        heading: Names of the columns: the class, then each split.
        rows: The numbers of images of each class.
        findings: Problems and remarks.

    Returns:
        HTML; texts of the folder are escaped.
    """
    more = len(rows) - MOST_CLASSES
    return card(
        title,
        [
            f'<div style="opacity:.7">{as_text(directory)}</div>',
            figures_table(heading, rows[:MOST_CLASSES]),
            f"<div>and {more} more classes</div>" if more > 0 else "",
            *map(_finding, findings),
        ],
    )


def _finding(finding: Finding) -> str:
    style = f"border-left:3px solid {EDGES[finding.severity]};padding-left:8px;margin:4px 0"
    examples = ", ".join(map(as_text, finding.examples))
    return (
        f'<div style="{style}"><b>{as_text(finding.severity)}</b>: {as_text(finding.what)} '
        f"{as_text(finding.remedy)}"
        + (f'<div style="opacity:.7;overflow-wrap:anywhere">{examples}</div>' if examples else "")
        + "</div>"
    )
