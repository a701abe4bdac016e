"""Ctrl-C in Python interrupts, as everywhere, and the best classifier so far is kept."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

import imgclf
from forked_python import ForkedPython

WAIT_S = 120

TRAINING = """
import sys
import imgclf

def train(folder, run_dir, **given):
    return imgclf.train(
        folder, run_dir=run_dir, architecture="three_conv", options={"filters": 8},
        image_size=24, epochs=5000, **given,
    )
"""

SCRIPT = f"""{TRAINING}
try:
    train(sys.argv[1], sys.argv[2])
except KeyboardInterrupt as error:
    print("INTERRUPTED", error)
import signal
print("RESTORED", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def interrupt(python: ForkedPython, code: str, *arguments: object) -> tuple[str, str]:
    """Run a script, send it Ctrl-C after the first epoch, and return what it wrote."""
    process = python.start(code, *arguments)
    assert any(line.startswith("Epoch") for line in process.stderr)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, errors
    return output, errors


def require_kept(run_dir: Path, told: str) -> None:
    """Require a classifier with figures in the run folder, and that its path was said."""
    kept = imgclf.load(run_dir / "model.imgclf")
    assert kept.figures is not None
    assert kept.figures.num_images > 0
    assert f"{run_dir / 'model.imgclf'}. To go on: imgclf train --resume" in told


def test_ctrl_c_keeps_the_best_classifier_and_raises(
    two_classes: Path, forked_python: ForkedPython, tmp_path: Path
) -> None:
    """A script that trains meets `KeyboardInterrupt`, which says where the classifier is."""
    run_dir = tmp_path / "run"
    output, errors = interrupt(forked_python, SCRIPT, two_classes, run_dir)
    (interrupted,) = [line for line in output.splitlines() if line.startswith("INTERRUPTED")]
    require_kept(run_dir, interrupted)
    assert "Stopping: the best classifier so far is kept." in errors
    assert "RESTORED True" in output


def test_without_a_run_folder_ctrl_c_interrupts_at_once(
    two_classes: Path, forked_python: ForkedPython
) -> None:
    """Where nothing can be kept, nobody waits."""
    code = SCRIPT.replace("sys.argv[2]", "None")
    output, errors = interrupt(forked_python, code, two_classes)
    assert "INTERRUPTED \n" in output
    assert "Stopping" not in errors


def test_the_stop_button_of_a_notebook_keeps_it_too(two_classes: Path, tmp_path: Path) -> None:
    """A real kernel is interrupted in the middle of a cell; the next cell runs as ever."""
    jupyter = pytest.importorskip("jupyter_client", reason="needs jupyter_client")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    run_dir = tmp_path / "run"
    manager, client = jupyter.manager.start_new_kernel(startup_timeout=WAIT_S)
    try:
        cell = f"{TRAINING}\ntrain({str(two_classes)!r}, {str(run_dir)!r}, verbose=2)"
        client.execute(cell, stop_on_error=False)  # or the kernel refuses what comes right after
        wait_for(client, "Epoch ", ("display_data", "update_display_data", "stream"))
        manager.interrupt_kernel()
        told = wait_for(client, "KeyboardInterrupt", ("error",))
        require_kept(run_dir, told)
        reply = client.execute_interactive("1 + 1", timeout=WAIT_S, output_hook=lambda _: None)
        assert reply["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def wait_for(client: Any, text: str, kinds: tuple[str, ...]) -> str:
    """Wait for a message of some kinds that has a text in it; any error ends the waiting."""
    ends_s = time.monotonic() + WAIT_S
    while time.monotonic() < ends_s:
        message = client.get_iopub_msg(timeout=WAIT_S)
        shown = str(message["content"])
        if message["msg_type"] in kinds and text in shown:
            return shown
        assert message["msg_type"] != "error", shown
    raise AssertionError(f"nothing with {text!r} within {WAIT_S} s")
