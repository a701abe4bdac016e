"""Shows the examples of docstrings as code in the reference; mkdocs.yml loads it into griffe.

Our docstrings call the section `Example:`, which griffe takes for a box with prose in it: its own
name, under which `>>>` becomes a block of code, is `Examples:`.
"""

import re
from typing import Any

import griffe


class ReferenceExamples(griffe.Extension):
    """Gives the section of examples the name that griffe knows."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section of one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(
                r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE
            )
