"""Finds the code in README and documentation: Python blocks, and commands in blocks and text.

A comment on the line before a Python block says how it differs from what the test runs:

    <!-- not run: why -->             it cannot run here
    <!-- tested with: a=1 -> a=2 -->  run with these replacements, for speed
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<remark>[^\n]*) -->\n)?^(?P<indent> *)```(?P<language>\w+)[^\n]*\n"
    r"(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, its language, what it says, and the remark above it."""

    page: Path
    line: int
    language: str
    code: str
    remark: str

    @property
    def why_not_run(self) -> str:
        """Return the reason that the page gives for not running it."""
        return self.remark.removeprefix("not run: ") if "not run: " in self.remark else ""

    def as_tested(self) -> str:
        """Return the code with the replacements that the page states."""
        code = self.code
        if self.remark.startswith("tested with: "):
            for change in self.remark.removeprefix("tested with: ").split("; "):
                old, new = change.split(" -> ")
                assert old in code, f"{self.page.name}:{self.line}: nothing to replace: {old}"
                code = code.replace(old, new)
        return code


def blocks_of(page: Path, *languages: str) -> list[Block]:
    """List the fenced blocks of a page in these languages."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        if match["language"] in languages:
            line = text.count("\n", 0, match.start("code")) + 1
            indent = len(match["indent"])
            code = "".join(row[indent:] for row in match["code"].splitlines(keepends=True))
            found.append(Block(page, line, match["language"], code, match["remark"] or ""))
    return found


def commands_of(page: Path) -> list[list[str]]:
    """List the `imgclf` commands of a page, in shell blocks and in the text, as words."""
    text = page.read_text(encoding="utf-8")
    rows = [
        row
        for block in blocks_of(page, "sh", "console", "bash", "yaml")
        for row in block.code.replace("\\\n", " ").splitlines()
    ]
    rows += re.findall(r"(?<!`)`((?:[A-Z_]+=\S+ )?imgclf [^`\n]*)`(?!`)", text)
    commands = []
    for row in rows:
        for part in re.split(r"&&|\||;", row):
            found = re.search(r"(?:^|[\s/])imgclf(\s+[a-z-].*)$", part)
            if found and not re.search(r"\b(pip install|import)\b|#\s*imgclf", part):
                words = shlex.split(found[1].partition(" > ")[0], comments=True)
                commands.append([word.rstrip(",.:") for word in words])
    return commands
