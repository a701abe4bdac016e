"""Workers that join a search over the network; all of it on loopback."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imgclf


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def joined(port: int, env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start `imgclf tune-worker` for a chief that may still have to start."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", "from imgclf.cli.main import run; run()", "tune-worker",
             "--chief", f"127.0.0.1:{port}", "--wait", "200"],
            stdout=errors, stderr=errors, env=env,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_a_search_survives_a_worker_that_is_killed_in_mid_trial(
    batches: Any, plugin: str, command_env: dict[str, str], tmp_path: Path
) -> None:
    """Of two joined workers one dies by SIGKILL: its trial is run again, the search completes."""
    port = free_port()
    logs = (tmp_path / "first.txt", tmp_path / "second.txt")
    with (
        joined(port, command_env, logs[0]) as first,
        joined(port, command_env, logs[1]) as second,
    ):

        def kill_first() -> None:
            while first.poll() is None:
                time.sleep(0.02)
                if "Running" in logs[0].read_text():
                    first.send_signal(signal.SIGKILL)

        killing = threading.Thread(target=kill_first)
        killing.start()
        result = imgclf.tune(
            plugin, *batches, max_trials=4, trial_epochs=30, workers=0, study_dir=tmp_path / "s",
            chief_address=f"127.0.0.1:{port}",
        )  # fmt: skip
        killing.join(10)
        second.wait(60)
    errors = logs[1].read_text()
    assert first.returncode == -signal.SIGKILL
    assert second.returncode == 0, errors
    assert "The search is over; 4 trial(s) were run here." in errors
    assert [trial.number for trial in result.trials] == [0, 1, 2, 3]
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
