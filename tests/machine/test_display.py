"""Progress is shown where somebody looks, as that place can show it."""

from __future__ import annotations

import io
import sys
import types
from typing import Any

import pytest

from imgclf.errors import ArgumentError
from imgclf.machine.display import NotebookDisplay, TerminalDisplay, open_display, when_shown
from imgclf.machine.terminal import Terminal


def drawn_on(*, terminal: bool, with_bar: bool = True) -> str:
    """Return what a display writes for two lines and a bar."""
    file = io.StringIO()
    console = Terminal(file=file, force_terminal=terminal, width=80)
    display = TerminalDisplay(console, with_bar=with_bar)
    display.say("Left out [1] file", "yellow")
    display.show("Reading images", 5, 10, "40 img/s")
    display.show("Epoch 1/3", 1, 3)
    display.say("Epoch 1/3 is done")
    display.clear()
    return file.getvalue()


def test_a_pipe_gets_lines_alone() -> None:
    """Where there is no terminal, nothing moves, and no text is taken for markup."""
    assert drawn_on(terminal=False) == "Left out [1] file\nEpoch 1/3 is done\n"


def test_a_terminal_gets_a_bar() -> None:
    """The bar names what is being done, and is gone at the end; without it the lines are left."""
    shown = drawn_on(terminal=True)
    assert "Reading images" in shown
    assert "50%" in shown
    assert "40 img/s" in shown
    assert "Reading images" not in drawn_on(terminal=True, with_bar=False)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Return the states of a cell's one output, as a notebook would show them."""
    states: list[dict[str, str]] = []

    class Handle:
        def update(self, content: dict[str, str], *, raw: bool) -> None:
            states.append(content)

    def display(content: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        states.append(content)
        return Handle()

    package: Any = types.ModuleType("IPython")
    package.display = types.ModuleType("IPython.display")
    package.display.display = display
    package.get_ipython = type("ZMQInteractiveShell", (), {})
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", package.display)
    return states


def test_a_notebook_gets_one_output_that_changes(cell: list[dict[str, str]]) -> None:
    """All lines stand in one output; the bar is in it while something runs; texts are escaped."""
    with open_display("auto") as display:
        assert isinstance(display, NotebookDisplay)
        display.say("<b>cat</b> & dog")
        display.show("Epoch 1/3", 1, 3, "40 img/s")
    assert "&lt;b&gt;cat&lt;/b&gt; &amp; dog" in cell[-1]["text/html"]
    assert any("<progress" in state["text/html"] for state in cell)
    assert "<progress" not in cell[-1]["text/html"]
    assert cell[-1]["text/plain"] == "<b>cat</b> & dog"


def test_what_is_shown_can_be_chosen() -> None:
    """0 shows nothing, an open display is used as it is, anything else is refused."""
    with open_display(0) as display:
        assert display is None
        assert when_shown(display, "Reading", "img") is None
    given = TerminalDisplay(Terminal(file=io.StringIO()))
    with open_display(given) as display:
        assert display is given
    for wrong in (7, "loud", None):
        with pytest.raises(ArgumentError, match="is not accepted"), open_display(wrong):  # type: ignore[arg-type]
            pass
