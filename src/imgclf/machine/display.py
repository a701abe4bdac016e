"""The one place that shows progress: on a terminal, in a notebook, or as plain lines."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from imgclf.errors import ArgumentError
from imgclf.machine.plain_text import printable
from imgclf.machine.terminal import Terminal, escape

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Display", "TerminalDisplay", "Verbose", "is_notebook", "open_display", "when_shown"]

REDRAW_S = 0.1
"""Seconds between two states of a bar; a notebook gets a quarter as many."""

Tone = Literal["", "bold", "yellow"]
"""How a line is printed: `"yellow"` is a warning."""


class Display(Protocol):  # `TerminalDisplay` and `NotebookDisplay`
    """Shows what a long task has done, line by line, and what it is doing, in one moving line."""

    def say(self, text: str, tone: Tone = "") -> None:
        """Show a line that stays."""

    def show(self, doing: str, done: float, total: float | None, figures: str = "") -> None:
        """Show what is being done, `done` of `total`, in the place of the last such line."""

    def clear(self) -> None:
        """Remove the moving line."""


Verbose: TypeAlias = "int | bool | Literal['auto'] | Display"
"""0 shows nothing, ``"auto"`` and 1 a bar and a line per epoch, 2 the lines alone; or a display
that is open already."""


@contextmanager
def open_display(verbose: Verbose) -> Iterator[Display | None]:
    """Open the display that fits the place where Python runs.

    Args:
        verbose: What is wanted; a display is given back as it is, and stays open.

    Yields:
        The display; None for 0. Its moving line is removed at the end.

    Raises:
        ArgumentError: `verbose` is something else.
    """
    if isinstance(verbose, (TerminalDisplay, NotebookDisplay)):
        yield verbose
        return
    if verbose not in (0, 1, 2, "auto"):
        raise ArgumentError(f"verbose={verbose!r} is not accepted: give 0, 1, 2 or 'auto'.")
    if not verbose:
        yield None
        return
    display = NotebookDisplay() if is_notebook() else TerminalDisplay(with_bar=verbose != 2)
    try:
        yield display
    finally:
        display.clear()


def is_notebook() -> bool:
    """Tell whether Python runs behind a notebook, which shows HTML and changes it later."""
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = type(get_shell()) if get_shell is not None else type(None)
    return shell.__name__ == "ZMQInteractiveShell" or shell.__module__.startswith("google.colab")


class TerminalDisplay:
    """Draws on a console; one that is no terminal gets the lines alone.

    Args:
        console: Where to draw; None is standard error.
        with_bar: Whether there is a moving line.
    """

    def __init__(self, console: Console | None = None, *, with_bar: bool = True) -> None:
        self._console = console or Terminal(stderr=True)
        self._with_bar = with_bar and self._console.is_terminal
        self._bar: Progress | None = None
        self._doing = ""
        self._drawn_s = 0.0

    def say(self, text: str, tone: Tone = "") -> None:
        """Print a line above the bar."""
        self._console.print(escape(text), style=tone, soft_wrap=not self._console.is_terminal)

    def show(self, doing: str, done: float, total: float | None, figures: str = "") -> None:
        """Draw the bar, ten times a second at the most."""
        now = time.monotonic()
        if not self._with_bar or (doing == self._doing and now - self._drawn_s < REDRAW_S):
            return
        self._drawn_s = now
        if self._bar is None or total != self._bar.tasks[0].total:
            self.clear()
            self._bar = _make_bar(self._console, escape(doing), total)
            self._bar.start()
        self._doing = doing
        self._bar.update(
            self._bar.tasks[0].id, description=escape(doing), completed=done, figures=figures
        )
        self._bar.refresh()

    def clear(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._doing = ""


def _make_bar(console: Console, description: str, total: float | None) -> Progress:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TaskProgressColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
        auto_refresh=False,
        transient=True,
    )
    bar.add_task(description, total=total, figures="")
    return bar


TONES = {
    "": "",
    "bold": "font-weight:600",
    "yellow": "border-left:3px solid #d99a00;padding-left:.5em",
}


class NotebookDisplay:
    """One output of a notebook's cell, which is written anew as the task goes on."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, Tone]] = []
        self._bar: tuple[str, float, float | None, str] | None = None
        self._handle: Any = None
        self._drawn_s = 0.0

    def say(self, text: str, tone: Tone = "") -> None:
        """Add a line."""
        self._lines.append((printable(text, is_name=True), tone))
        self._draw()

    def show(self, doing: str, done: float, total: float | None, figures: str = "") -> None:
        """Draw the bar, two or three times a second at the most."""
        is_new = self._bar is None or self._bar[0] != doing
        self._bar = (printable(doing, is_name=True), done, total, figures)
        if is_new or time.monotonic() - self._drawn_s >= 4 * REDRAW_S:
            self._draw()

    def clear(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar = None
            self._draw()

    def _draw(self) -> None:
        from IPython.display import display

        self._drawn_s = time.monotonic()
        content = {"text/html": self._html(), "text/plain": self._text()}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def _text(self) -> str:
        return "\n".join(text for text, _ in self._lines)

    def _html(self) -> str:
        lines = [
            f'<div style="{TONES[tone]}">{html.escape(text)}</div>' for text, tone in self._lines
        ]
        if self._bar is not None:
            doing, done, total, figures = self._bar
            value = f' value="{done / total:.3f}"' if total else ""
            lines.append(
                f"<div>{html.escape(doing)} <progress{value} "
                f'style="width:12em;vertical-align:middle"></progress> {html.escape(figures)}</div>'
            )
        style = "font:13px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums"
        return f'<div style="{style}">{"".join(lines)}</div>'


def when_shown(display: Display | None, doing: str, unit: str) -> Callable[[int, int], None] | None:
    """Return what moves a display's line with numbers of things done and in all.

    Args:
        display: The display, if any.
        doing: What is being done, such as "Reading images".
        unit: What is counted per second, such as "img".

    Returns:
        A function; None without a display.
    """
    if display is None:
        return None
    began_s = time.monotonic()

    def move(done: int, total: int) -> None:
        speed = done / max(time.monotonic() - began_s, 1e-6)
        display.show(doing, done, total, f"{speed:,.0f} {unit}/s")

    return move
