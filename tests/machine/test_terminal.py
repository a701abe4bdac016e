"""Texts out of files: shown on a terminal, or typed into a shell, they steer neither."""

from __future__ import annotations

import ast
import io
import re
import shutil
import subprocess
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest
from rich.live import Live
from rich.panel import Panel
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

import imgclf
from imgclf.machine.plain_text import printable
from imgclf.machine.terminal import Terminal, escape, shell_word

STEERING = [
    *(chr(code) for code in range(0x20) if chr(code) not in "\t\n"),
    *(chr(code) for code in range(0x7F, 0xA0)),
    *map(chr, (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))),
    "\ud800",
    "\udcff",
]
ORDINARY = ["نمی‌خواهم", "क्‍ष", "👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "Zürich 東京", "a  b", "עברית‎", "[red]", ":cat:"]
BASH = shutil.which("bash")
HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp.exe\u2066\r[red]x[/]"


def test_what_steers_is_written_out() -> None:
    """Control characters, ends of lines and overrides of the direction become plain escapes."""
    for character in STEERING:
        shown = printable(f"a{character}b")
        assert re.fullmatch(r"a\\(x[0-9a-f]{2}|u[0-9a-f]{4}|[nrt])b", shown), ascii(character)
    assert printable("a\x1b\udcff\u202e") == "a\\x1b\\xff\\u202e"
    assert printable("a\tb\nc") == "a\tb\nc"
    assert printable("a\tb\nc", is_name=True) == "a\\tb\\nc"


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    """Letters, the joiners of Persian, Hindi and emoji, marks and spaces are shown untouched."""
    assert printable(text, is_name=True) == text
    for terminal in (_terminal(), _terminal(force_terminal=True, color_system=None)):
        terminal.print(escape(text))
        terminal.print(text, markup=False)
        assert _shown(terminal) == f"{text}\n{text}\n"


def test_no_renderable_brings_a_control_character_to_the_terminal() -> None:
    """Strings, texts, tables, panels, progress and live pictures: none passes anything through."""
    terminal = _terminal(color_system=None, width=200)
    table = Table(HOSTILE, title=HOSTILE, caption=HOSTILE)
    table.add_row(HOSTILE)
    table.add_row(Text(HOSTILE))
    table.add_row(escape(HOSTILE))
    progress = Progress(TextColumn("{task.description}"), TextColumn(HOSTILE), console=terminal)
    progress.add_task(HOSTILE)
    for thing in (table, Text(HOSTILE), Panel(HOSTILE, title=HOSTILE), progress):
        terminal.print(thing)
    terminal.print(HOSTILE, markup=False)
    terminal.print(HOSTILE, style="bold", soft_wrap=True)
    with Live(Text(HOSTILE), console=terminal, auto_refresh=False):
        pass
    shown = _shown(terminal)
    assert not [character for character in STEERING if character in shown]
    assert shown.count(r"\x1b[2J\x9b31m\u202egnp.exe\u2066") >= 10


@pytest.mark.parametrize("name", [HOSTILE, "[/]", "[bold", "a\\", "a\nb", ":boom:"])
def test_a_name_between_markup_is_a_name(name: str) -> None:
    """Whatever it looks like, a name in a line of markup is shown whole, and the markup works."""
    terminal = _terminal(force_terminal=True, color_system="standard")
    terminal.print(f"[bold]{escape(name)}[/] ends")
    shown = _shown(terminal)
    assert shown == f"\x1b[1m{printable(name, is_name=True)}\x1b[0m ends\n"


def test_backslashes_quote_no_markup() -> None:
    """However many of them end a name, the markup that follows it still counts."""
    for count in range(6):
        terminal = _terminal(force_terminal=True, color_system="standard")
        terminal.print(f"[bold]{escape('a' + chr(92) * count)}[/] ends")
        assert re.fullmatch(r"\x1b\[1ma\\*\x1b\[0m ends\n", _shown(terminal))


def test_tables_stay_straight() -> None:
    """Names are measured as they are shown: no hostile one pushes a column away."""
    terminal = _terminal(width=120)
    table = Table(box=None)
    for name in ("cat", "\x1b[31mdog", ":cat:", "\u202e"):
        table.add_row(escape(name), "|")
    terminal.print(table)
    assert len({line.index("|") for line in _shown(terminal).splitlines() if "|" in line}) == 1


@pytest.mark.skipif(BASH is None, reason="needs bash")
@hypothesis.settings(max_examples=20)
@hypothesis.given(
    st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
)
@hypothesis.example(
    ["photos; rm -rf x", "$(x)", "`x`", "a'b\"c", "\x1b[31m\n", "-x", "*", "\u202e"]
)
def test_the_shell_reads_back_every_word(texts: list[str]) -> None:
    """Pasted into a shell, a word is the text that it was made of, and never a command."""
    if texts:
        command = "printf '%s\\0' " + " ".join(map(shell_word, texts))
        assert not [character for character in STEERING if character in command]
        done = subprocess.run([str(BASH), "-c", command], capture_output=True, check=True)
        assert done.stdout.decode().split("\0")[:-1] == texts


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_bytes_that_are_no_text_come_back() -> None:
    """A file name that is not UTF-8 is typed as the bytes that it is."""
    command = f"printf %s {shell_word(chr(0xDCFF) + 'a')}"
    done = subprocess.run([str(BASH), "-c", command], capture_output=True, check=True)
    assert done.stdout == b"\xffa"


def test_nothing_is_printed_past_the_terminal() -> None:
    """All of imgclf prints through `Terminal`, and escapes through `terminal.escape`."""
    root = Path(imgclf.__file__).parent
    own_doors = {"machine/terminal.py", "cli/_console.py", "cli/main.py"}
    # They answer their parent process.
    own_doors |= {"doctor/probe.py", "exports/runner.py"}
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        names = {ast.unparse(call) for call in calls}
        forbidden = {"Console", "rich.print", "logging.StreamHandler", "typer.echo"}
        if name == "serving/log.py":  # Each line is JSON, or printable.
            forbidden -= {"logging.StreamHandler"}
        if name not in own_doors:
            forbidden |= {"print", "sys.stdout.write", "sys.stderr.write", "rich.markup.escape"}
        assert not names & forbidden, name
        imported = {
            f"{node.module}.{item.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for item in node.names
        }
        assert "rich.markup.escape" not in imported, name


def _terminal(**options: object) -> Terminal:
    return Terminal(file=io.StringIO(), **{"width": 80, **options})


def _shown(terminal: Terminal) -> str:
    assert isinstance(terminal.file, io.StringIO)
    return terminal.file.getvalue()
