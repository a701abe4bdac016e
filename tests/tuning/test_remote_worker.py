"""Workers that join a search over the network; all of it on loopback."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imgclf
from conftest import COMMAND
from forked_python import ForkedProcess, ForkedPython

LOGGED = """
import os, sys
log = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT)
os.dup2(log, 1)
os.dup2(log, 2)
"""
"""Lets a process print into the file that its first argument names."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def joined(
    python: ForkedPython, port: int, env: dict[str, str], log: Path
) -> Iterator[ForkedProcess]:
    """Start `imgclf tune-worker` for a chief that may still have to start."""
    process = python.start(
        LOGGED + COMMAND, log, "tune-worker", "--chief", f"127.0.0.1:{port}", "--wait", "200",
        env=env,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate(60)


def test_a_search_survives_a_worker_that_is_killed_in_mid_trial(
    batches: Any,
    plugin: str,
    forked_python: ForkedPython,
    command_env: dict[str, str],
    tmp_path: Path,
) -> None:
    """Of two joined workers one dies by SIGKILL: its trial is run again, the search completes."""
    port = free_port()
    logs = (tmp_path / "first.txt", tmp_path / "second.txt")
    with (
        joined(forked_python, port, command_env, logs[0]) as first,
        joined(forked_python, port, command_env, logs[1]) as second,
    ):

        def kill_first() -> None:
            while first.poll() is None:
                time.sleep(0.02)
                if "Running" in logs[0].read_text():
                    first.send_signal(signal.SIGKILL)

        killing = threading.Thread(target=kill_first)
        killing.start()
        result = imgclf.tune(
            plugin, *batches, max_trials=3, trial_epochs=3, workers=0, study_dir=tmp_path / "s",
            chief_address=f"127.0.0.1:{port}",
        )  # fmt: skip
        killing.join(10)
        second.wait(60)
    errors = logs[1].read_text()
    assert first.returncode == -signal.SIGKILL
    assert second.returncode == 0, errors
    assert "The search is over; 3 trial(s) were run here." in errors
    assert [trial.number for trial in result.trials] == [0, 1, 2]
    assert all(trial.status == "completed" for trial in result.trials)
    assert not list((tmp_path / "s" / "bundles").glob("attempt-*"))
    assert imgclf.evaluate(imgclf.load(result.bundle), batches[1]).accuracy == (
        result.best.bundle_accuracy
    )


def test_a_worker_without_a_chief_says_so(imgclf_command: Any) -> None:
    """A wrong address is one line and exit code 1."""
    done = imgclf_command("tune-worker", "--chief", f"127.0.0.1:{free_port()}", "--wait", "0")
    assert done.returncode == 1
    assert "There is no chief at" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
